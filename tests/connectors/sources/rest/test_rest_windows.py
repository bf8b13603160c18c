"""Windows of time: what an API is asked for, and that no change is lost or comes twice."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import ClassVar

import pytest
from connectors.sources.rest.conftest import block, ids, pages_of, records_of, window
from standins.rest.server import by_page, changed_within, items

from bizon.common.clock import fixed_at
from bizon.common.errors.errors import ConfigError, SourceFetchError
from bizon.connectors.sources.rest.src.client import _seconds_behind
from bizon.connectors.sources.rest.src.moments import Moments

SINCE = {"cursor_field": "updated_at", "since": {"param": "since"}, "until": {"param": "until"}}
PAGES = {"type": "page", "param": "page", "total": "total"}


def serve(api, records=None, exclusive=False):
    records = items() if records is None else records

    def answer(asked):
        found = changed_within(records, asked)
        if exclusive and asked.params.get("since"):
            since = datetime.fromisoformat(asked.params["since"])
            found = [each for each in found if datetime.fromisoformat(each["updated_at"]) > since]
        return by_page(found, asked)

    api.routes["/items"] = answer


def endpoint(**incremental):
    return {"pages": PAGES, "incremental": {**SINCE, **incremental}}


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        ("2024-05-01T10:00:00", "2024-05-03T10:00:00", ["1", "2", "3", "4"]),
        ("2024-05-02T10:00:00", None, ["3", "4", "5", "6", "7"]),
        ("2024-05-02T10:00:01", "2024-05-03T10:00:01", ["5", "6"]),
        ("2024-06-01", "2024-06-02", []),
    ],
)
def test_a_window_includes_its_start_and_excludes_its_end_whatever_the_api_does(api, exclusive, since, until, found):
    serve(api, exclusive=exclusive)
    assert ids(block(api, endpoint()), window(since, until)) == found


def test_successive_windows_lose_nothing_and_repeat_nothing(api):
    serve(api, exclusive=True)
    edges = ["2024-05-01", "2024-05-01T10:00:00", "2024-05-02T10:00:00", "2024-05-02T10:00:00.5", "2024-05-09"]
    found = [ids(block(api, endpoint()), window(*pair)) for pair in pairwise(edges)]
    assert [each for one in found for each in one] == [str(number) for number in range(1, 8)]


def test_a_window_without_anything_in_between_asks_for_nothing(api):
    serve(api)
    assert ids(block(api, endpoint()), window("2024-05-01", "2024-05-01")) == []
    assert api.served == []


@pytest.mark.parametrize(
    ("layout", "zone", "asked"),
    [
        ("iso8601", "UTC", ("2024-05-01T09:59:59Z", "2024-05-03T10:00:01Z")),
        ("iso8601", "Asia/Tokyo", ("2024-05-01T18:59:59+09:00", "2024-05-03T19:00:01+09:00")),
        ("date", "UTC", ("2024-04-30", "2024-05-04")),
        ("date", "Asia/Tokyo", ("2024-04-30", "2024-05-04")),
        ("epoch", "UTC", ("1714557599", "1714730401")),
        ("epoch_ms", "UTC", ("1714557599999", "1714730400500")),
        ("%d/%m/%Y %H:%M", "Europe/Paris", ("01/05/2024 11:59", "03/05/2024 12:01")),
    ],
)
def test_the_ends_of_a_window_are_written_as_the_api_takes_them(api, layout, zone, asked):
    api.routes["/items"] = lambda asked: {"items": []}
    limits = {
        "zone": zone,
        "since": {"param": "since", "format": layout},
        "until": {"param": "until", "format": layout},
    }
    ids(block(api, endpoint(**limits)), window("2024-05-01T10:00:00", "2024-05-03T10:00:00.5"))
    assert (api.served[0].params["since"], api.served[0].params["until"]) == asked


def test_an_api_that_includes_the_start_is_asked_for_the_very_moment(api):
    api.routes["/items"] = lambda asked: {"items": []}
    ids(block(api, endpoint(since={"param": "since", "inclusive": True})), window("2024-05-01T10:00:00.7"))
    assert api.served[0].params["since"] == "2024-05-01T10:00:00Z"
    assert "until" not in api.served[0].params


@pytest.mark.parametrize("where", ["json", "header"])
def test_the_ends_go_where_the_api_wants_them(api, where):
    api.routes["/items"] = lambda asked: {"items": []}
    names = ("filter.since", "filter.until") if where == "json" else ("X-Since", "X-Until")
    limits = {"since": {"param": names[0], "in": where}, "until": {"param": names[1], "in": where}}
    ids(block(api, {**endpoint(**limits), "method": "POST"}), window("2024-05-01T10:00:00", "2024-05-02"))
    ends = ("2024-05-01T09:59:59Z", "2024-05-02T00:00:00Z")
    given = api.served[0].params["filter"] if where == "json" else api.served[0].headers
    assert tuple(given["since" if where == "json" else "x-since"] for _ in "1") == ends[:1]
    assert given["until" if where == "json" else "x-until"] == ends[1]


def test_texts_with_an_end_in_them_are_left_out_when_there_is_none(api):
    api.routes["/items"] = lambda asked: {"items": []}
    source = block(
        api,
        {
            "method": "POST",
            "params": {"q": "updated >= {since}", "v": "1"},
            "json": {
                "filters": [{"name": "updated", "op": "ge", "value": "{since}"}, {"name": "x", "value": "{until}"}],
                "n": 1,
            },
            "incremental": {"cursor_field": "updated_at", "since": {"format": "epoch"}, "until": {"format": "date"}},
        },
    )
    ids(source, window("1970-01-01T00:01:01"))
    ids(source)
    assert api.served[0].params == {
        "q": "updated >= 60",
        "v": "1",
        "filters": [{"name": "updated", "op": "ge", "value": 60}],
        "n": 1,
    }
    assert api.served[1].params == {"v": "1", "filters": [], "n": 1}


def test_history_is_read_in_windows_that_meet_and_the_last_is_open(api):
    """The clock stands still: windows up to today are more of them each day."""
    serve(api)
    source = block(api, endpoint(window="2d", start="2024-05-01T10:00:00Z"))
    api.routes["/items"] = lambda asked: by_page(changed_within([*items(), FUTURE], asked), asked)
    with fixed_at(datetime(2024, 5, 31, tzinfo=UTC)):
        assert ids(source, restarts=False) == [*(str(number) for number in range(1, 8)), "99"]
    windows = list(dict.fromkeys((each.params["since"], each.params.get("until")) for each in api.served))
    assert windows[:2] == [
        ("2024-05-01T09:59:59Z", "2024-05-03T10:00:00Z"),
        ("2024-05-03T09:59:59Z", "2024-05-05T10:00:00Z"),
    ]
    assert windows[-1] == ("2024-05-29T09:59:59Z", None)
    assert len(windows) == 15


FUTURE = {"id": 99, "updated_at": "2090-01-01T00:00:00Z"}


def test_a_record_older_than_the_start_is_left_out(api):
    serve(api)
    assert ids(block(api, endpoint(start="2024-05-03"))) == ["5", "6", "7"]


def test_an_incremental_run_is_read_in_windows_up_to_its_end(api):
    serve(api)
    source = block(api, endpoint(window="36h"))
    assert ids(source, window("2024-05-01", "2024-05-04T10:00:00")) == ["1", "2", "3", "4", "5", "6"]
    assert len({each.params["since"] for each in api.served}) == 3
    assert api.served[-1].params["until"] == "2024-05-04T10:00:00Z"


def test_without_a_parameter_the_run_reads_everything_and_leaves_out_the_rest(api):
    api.routes["/items"] = lambda asked: by_page(items(), asked)
    source = block(api, {"pages": PAGES, "incremental": {"cursor_field": "updated_at"}})
    assert ids(source, window("2024-05-02T10:00:00", "2024-05-03T10:00:00")) == ["3", "4"]
    assert all(each.params.keys() <= {"page"} for each in api.served)


def test_a_record_without_its_time_is_an_error_and_where_leaves_it_out(api):
    api.routes["/items"] = lambda asked: {"items": [*items(1), {"id": 2, "updated_at": None}]}
    limits = {"incremental": {"cursor_field": "updated_at"}}
    assert ids(block(api, limits)) == ["1", "2"]
    with pytest.raises(SourceFetchError, match=r"record 2 has no 'updated_at'.*`where: .updated_at.`"):
        ids(block(api, limits), window("2024-01-01"))
    assert ids(block(api, {**limits, "where": "updated_at"}), window("2024-01-01")) == ["1"]


@pytest.mark.parametrize(
    ("layout", "value"),
    [
        ("epoch", 1714557600),
        ("epoch", 1714557600.0),
        ("epoch_ms", 1714557600000),
        ("epoch", "1714557600"),
        ("%d.%m.%Y %H:%M", "01.05.2024 12:00"),
        ("iso8601", "2024-05-01T12:00:00"),
        ("iso8601", "2024-05-01T10:00:00Z"),
    ],
)
def test_times_of_records_are_read_in_their_format_and_zone(api, layout, value):
    api.routes["/items"] = lambda asked: {"items": [{"id": 1, "changed": value}]}
    limits = {"cursor_field": "changed", "cursor_format": layout, "zone": "Europe/Paris"}
    source = block(api, {"incremental": limits, "timestamp": "changed"})
    assert ids(source, window("2024-05-01T10:00:00", "2024-05-01T10:00:00.000001")) == ["1"]
    assert records_of(source)[0].timestamp == datetime(2024, 5, 1, 10, tzinfo=UTC)


def test_a_time_in_another_format_is_an_error(api):
    api.routes["/items"] = lambda asked: {"items": [{"id": 1, "updated_at": 1714557600}]}
    with pytest.raises(SourceFetchError, match=r"not a moment in the format iso8601; set `incremental.cursor_format`"):
        ids(block(api, {"incremental": {"cursor_field": "updated_at"}}), window("2024-01-01"))


DENSE = [
    {"id": number, "updated_at": (datetime(2024, 5, 1, tzinfo=UTC) + timedelta(minutes=7 * number)).isoformat()}
    for number in range(120)
]


def capped(api, cap, records=DENSE):
    """An API that gives out ``cap`` records of a list, and then says that there is no more."""

    def answer(asked):
        found = changed_within(records, asked)
        return {**by_page(found[:cap], asked, size=10), "total": len(found)}

    api.routes["/items"] = answer


@pytest.mark.parametrize("limits", [{"window": "30d"}, {}])
def test_a_window_with_more_records_than_the_cap_is_split(api, limits):
    """Semantics 3."""
    capped(api, 30)
    source = block(
        api, {**endpoint(**limits, start="2024-05-01"), "pages": {**PAGES, "cap": 30, "more": "length(items)"}}
    )
    found = [int(each) for each in ids(source)]
    assert found == list(range(120))
    found = [int(each) for each in ids(source, window("2024-05-01T03:00:00", "2024-05-01T12:00:00"))]
    assert found == [each["id"] for each in DENSE if "T03" <= each["updated_at"][10:] < "T12"]


def test_a_list_that_cannot_be_split_fails_before_anything_is_lost(api):
    capped(api, 50)
    source = block(api, {"pages": {**PAGES, "cap": 50}})
    with pytest.raises(SourceFetchError, match=r"the list has 120 records, and the API gives out 50"):
        pages_of(source)
    assert len(api.served) == 1


def test_a_moment_with_more_records_than_the_cap_fails(api):
    capped(api, 50, [{"id": number, "updated_at": "2024-05-01T10:00:00Z"} for number in range(60)])
    source = block(api, {**endpoint(start="2024-05-01"), "pages": {**PAGES, "cap": 50}})
    with pytest.raises(SourceFetchError, match=r"no shorter window can be asked for"):
        pages_of(source)


def test_a_cap_without_a_total_fails_when_it_is_reached(api):
    capped(api, 40)
    pages = {"type": "page", "param": "page", "cap": 40}
    with pytest.raises(SourceFetchError, match=r"ended after 40 records.*there may be more"):
        pages_of(block(api, {"pages": pages}))


def test_a_total_that_differs_warns_or_fails(api, log_text):
    api.routes["/items"] = lambda asked: {**by_page(items(3), asked), "total": 5}
    pages = {"type": "page", "param": "page", "total": "total"}
    assert ids(block(api, {"pages": pages})) == ["1", "2", "3"]
    assert "the list has 5 records by `pages.total`, and 3 came" in log_text()
    with pytest.raises(SourceFetchError, match=r"the list has 5 records"):
        ids(block(api, {"pages": {**pages, "strict": True}}))


def test_two_overlaps_are_a_mistake(api):
    with pytest.raises(ConfigError, match=r"incremental_lookback"):
        ids(block(api, endpoint(lookback="1d"), incremental_lookback=60))


@pytest.mark.parametrize("layout", ["epoch", "iso8601", "%Y-%m-%dT%H:%M:%S", "date", "epoch_ms"])
def test_writing_rounds_down_and_up_to_units(layout):
    moments = Moments(layout, "UTC")
    moment = datetime(2024, 5, 1, 10, 0, 0, 250_500, tzinfo=UTC)
    assert moments.read(moments.written(moment)) <= moment <= moments.read(moments.ceiled(moment))
    assert moments.read(moments.ceiled(moment)) - moments.read(moments.written(moment)) == moments.unit


@pytest.mark.parametrize(
    ("minutes", "lookback", "mode", "warnings"),
    [
        (5, None, "incremental", 1),
        (5, 600, "incremental", 0),
        (5, None, "full_refresh", 0),
        (-5, None, "incremental", 0),
    ],
)
def test_a_clock_of_the_api_that_is_behind_is_reported_once(api, log_text, minutes, lookback, mode, warnings):
    """The answers have the real time, and this process is ahead of it."""
    serve(api)
    source = {**block(api, endpoint(**({"lookback": lookback} if lookback else {}))), "sync_mode": mode}
    with fixed_at(datetime.now(UTC) + timedelta(minutes=minutes)):
        assert len(pages_of(source, window("2024-05-01T00:00:00"), restarts=False)) > 1
    assert log_text().count(" s behind: changes may be in the window of no run; set `incremental.lookback`") == warnings


@pytest.mark.parametrize("date", [{}, {"Date": "soon"}, {"Date": "Thu, 01 Jan 1970 00:00:00 GMT", "Age": "old"}])
def test_an_answer_without_a_time_says_nothing_of_a_clock(date):
    class Answered:
        headers = date

    assert _seconds_behind(Answered()) == 0


def test_an_answer_of_a_cache_is_as_old_as_it_says():
    class Answered:
        headers: ClassVar = {"Date": "Thu, 01 Jan 1970 00:00:00 -0000", "Age": "50"}

    with fixed_at(datetime(1970, 1, 1, 0, 1, tzinfo=UTC)):
        assert _seconds_behind(Answered()) == 10
