"""Objects that are not shared, credentials, budgets of requests, and answers that are wrong."""

from collections import Counter
from threading import Event, Thread
from threading import enumerate as enumerate_threads

import pytest
import requests
from fakes import FakeClock
from standins.notion.queries import RefusedError

from bizon.common.errors.errors import SourceFetchError, StoppedError
from bizon.common.waiting import ends_with
from bizon.connectors.sources.notion.src.pace import TokenBucket


@pytest.fixture
def partly_shared(workspace):
    """Two databases and three pages, of which one each is not shared; and a block of a shared page."""
    open_one, closed = workspace.add_database("open", sources=2), workspace.add_database("closed")
    rows = [workspace.add_page(database=open_one, source=number) for number in (0, 1)]
    pages = [workspace.add_page() for _ in range(3)]
    for page in (*rows, *pages):
        workspace.add_tree(page, "toggle", [2, 1])
    for each in (closed, pages[1], workspace.source_of(open_one, 0), workspace.children[pages[0]][0]):
        workspace.unshare(each)
    return {"database_ids": [closed, open_one], "page_ids": pages}


@pytest.mark.parametrize("stream", ["databases", "data_sources", "pages", "blocks", "blocks_markdown"])
def test_an_object_that_is_not_shared_is_an_error(reader, partly_shared, stream) -> None:
    with pytest.raises(SourceFetchError, match="object_not_found"):
        reader(stream, **partly_shared).read()


@pytest.mark.lesson("F-43")
def test_an_object_that_is_not_shared_ends_the_run(pipeline, partly_shared) -> None:
    """Errors used to be skipped, and a full refresh replaced the table with less."""
    run = pipeline("blocks", **partly_shared)
    printed = run.run(expect=1)
    assert "object_not_found" in printed
    assert "skip_inaccessible" in printed
    assert "Traceback" not in printed
    assert run.rows() == []


def test_an_unshared_object_is_skipped_and_counted_on_request(workspace, reader, partly_shared, capsys) -> None:
    closed, open_one = partly_shared["database_ids"]
    first, _, third = partly_shared["page_ids"]
    row = next(page["id"] for page in workspace.rows_of(workspace.source_of(open_one, 1)))
    keys = {**partly_shared, "skip_inaccessible": True}
    assert reader("databases", **keys).ids() == [open_one]
    assert reader("data_sources", **keys).ids() == [workspace.source_of(open_one, 1)]
    capsys.readouterr()
    assert reader("pages", **keys).ids() == [first, third, row]
    printed = capsys.readouterr().err
    assert "3 objects were skipped" in printed
    assert closed in printed
    hidden = workspace.children[first][0]
    expected = {hidden, workspace.children[first][1], *workspace.children[workspace.children[first][1]]}
    for page in (third, row):
        expected |= {*workspace.children[page]}.union(*(workspace.children[each] for each in workspace.children[page]))
    assert Counter(reader("blocks", **keys).ids()) == Counter(list(expected))


@pytest.mark.parametrize("status", [429, 529, 500, 503])
def test_a_transient_refusal_is_retried(notion, workspace, reader, status) -> None:
    page = workspace.add_page()
    ids = workspace.add_tree(page, "paragraph", [6])
    blocks = reader("blocks", page_ids=[page], page_size=2)
    notion.fail_next(3, status)
    assert blocks.ids() == ids


def test_a_query_is_retried_too(notion, workspace, reader) -> None:
    tasks = workspace.add_database("Tasks")
    rows = [workspace.add_page(database=tasks) for _ in range(3)]
    notion.before = lambda asked: notion.fail_next(2, 529) if len(notion.asked) == 1 else None
    assert reader("pages", database_ids=[tasks]).ids() == rows
    assert notion.refusals_left == 0


def test_notion_may_ask_for_minutes(reader) -> None:
    policy = reader("users").source().session.get_adapter("https://api.notion.com").policy
    assert policy.wait_max == 900
    assert 529 in policy.status_forcelist
    assert policy.allows("PATCH")


def test_retries_that_the_user_sets_win(reader) -> None:
    retries = {"total": 1, "status_forcelist": [500], "retry_after_max": 5}
    policy = reader("users", http={"retries": retries}).source().session.get_adapter("https://x").policy
    assert (policy.total, policy.wait_max, set(policy.status_forcelist)) == (1, 5, {500})


def test_a_wait_that_notion_asks_for_ends_with_the_run(notion, reader, wait_for) -> None:
    stop, ended = Event(), Event()
    notion.fail_next(1, 429, retry_after=600)

    def read() -> None:
        with ends_with(stop), pytest.raises(StoppedError):
            reader("users").read()
        ended.set()

    thread = Thread(target=read)
    thread.start()
    wait_for(lambda: notion.refusals_left == 0)
    stop.set()
    thread.join(30)
    assert ended.is_set()


def test_an_error_of_one_worker_ends_the_waits_of_the_others(notion, workspace, reader) -> None:
    hidden, slow = workspace.add_page(), workspace.add_page()
    workspace.unshare(hidden)
    refused = Event()

    def refuse_the_slow_one(asked) -> None:
        if asked.path.endswith(slow):
            refused.set()
            raise RefusedError(503, "service_unavailable", "later")
        assert refused.wait(30)

    notion.before = refuse_the_slow_one
    pages = reader("pages", page_ids=[hidden, slow], http={"retries": {"backoff_factor": 600}})
    with pytest.raises(SourceFetchError, match="object_not_found"):
        pages.read()
    for thread in [each for each in enumerate_threads() if each.name.startswith("notion")]:
        thread.join(30)
        assert not thread.is_alive()


def test_a_used_up_budget_does_not_fail_the_check(notion, reader) -> None:
    notion.fail_next(1, 429, retry_after=None)
    source = reader("users", http={"retries": {"total": 0}}).source()
    assert source.check_connection() == (True, None)


def test_a_wrong_token_fails_in_one_line(notion, pipeline) -> None:
    notion.token = "another"
    printed = pipeline("users").run(expect=1)
    assert "API token is invalid" in printed
    assert "Traceback" not in printed


def test_the_token_is_in_no_output(notion, workspace, pipeline) -> None:
    token = notion.token
    workspace.add_user("u")
    notion.fail_next(1, 500, message=f"echo {token}")
    run = pipeline("users")
    run.config["engine"]["runner"] = {"log_level": "DEBUG"}
    printed = run.run()
    notion.before = lambda _asked: notion.fail_next(50, 400, message=token)
    printed += run.run(expect=1)
    assert token not in printed
    for file in run.folder.rglob("*"):
        assert file.name == "config.yml" or not file.is_file() or token.encode() not in file.read_bytes()


def test_the_version_is_sent_and_may_be_another(notion, reader, workspace) -> None:
    workspace.add_user("u")
    notion.versions = ("2026-03-11",)
    with pytest.raises(requests.HTTPError, match="Notion-Version"):
        reader("users").read()
    assert len(reader("users", notion_version="2026-03-11").read()) == 1


def test_a_connection_that_may_not_read_content_is_named(notion, workspace, reader) -> None:
    page = workspace.add_page()
    notion.only_ids = True
    with pytest.raises(SourceFetchError, match="capability to read content"):
        reader("pages", page_ids=[page]).read()


def test_a_database_without_data_sources_names_the_version(workspace, reader) -> None:
    tasks = workspace.add_database("Tasks")
    del workspace.databases[tasks]["data_sources"]
    with pytest.raises(SourceFetchError, match="notion_version"):
        reader("pages", database_ids=[tasks]).read()


def test_a_checkpoint_in_a_database_that_is_no_longer_configured_says_so(workspace, reader) -> None:
    first, second = workspace.add_database("a"), workspace.add_database("b")
    with pytest.raises(SourceFetchError, match="--fresh"):
        reader("databases", database_ids=[first]).read(start={"database": second})


def test_all_workers_share_one_budget() -> None:
    clock = FakeClock()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)

    bucket, began = TokenBucket(60, clock, sleep), clock()
    for _ in range(10 + 60):
        bucket.wait(None)
    assert clock() - began == pytest.approx(60)


def test_a_pause_holds_every_worker() -> None:
    clock = FakeClock()
    bucket, began = TokenBucket(6000, clock, clock.advance), clock()
    bucket.hold(120)
    bucket.hold(30)
    bucket.wait(None)
    assert clock() - began == pytest.approx(120)


def test_a_refusal_of_one_request_holds_the_others(notion, workspace, reader) -> None:
    page = workspace.add_page()
    workspace.add_tree(page, "toggle", [3, 1])
    source = reader("blocks", page_ids=[page]).source()
    held: list[float] = []
    source.session.get_adapter("http://x").pace.hold = held.append
    notion.fail_next(1, 429, retry_after=0)
    source.get({})
    source.close()
    assert held == [0]
