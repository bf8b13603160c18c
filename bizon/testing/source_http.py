"""Behaviours of a source whose API has a bad day."""

import json
import math
from http import HTTPStatus
from typing import TYPE_CHECKING

from bizon.testing.source_faults import Answer, Fault
from bizon.testing.source_probe import Spot, Trial, spots, traffic_of, tried
from bizon.testing.source_rules import http, needs
from bizon.testing.source_subject import NotApplicable, Subject, broken, shown

if TYPE_CHECKING:
    from bizon.source.config import HttpRetriesConfig

_RETRY_AFTER = 1  # second
_JSON = [("Content-Type", "application/json")]
_USE_THE_SESSION = "send it with self.session, and let its errors pass"


class HttpBehaviours:
    """Part of ``SourceBehaviours``. Faults hit the first and the last request of the first two pages."""

    def test_its_requests_pass_through_its_session(self, subject: Subject) -> None:
        with subject.opened() as source, traffic_of(source) as traffic:
            pages = subject.read(source)
        if not subject.source_class.fetches_over_http:
            if len(pages) > 1 and traffic.inside + traffic.outside >= len(pages):
                broken(
                    f"the source declares fetches_over_http = False, and sent {traffic.inside + traffic.outside} HTTP "
                    f"requests for {len(pages)} pages",
                    "remove the declaration",
                )
            return
        if traffic.outside:
            broken(
                f"{traffic.outside} requests bypass self.session",
                "fetch with self.session, which has time-outs, retries and safe errors",
            )
        if not traffic.inside:
            broken(
                "no request went through self.session",
                "fetch with self.session; a source that needs no HTTP declares fetches_over_http = False",
            )

    @needs(http)
    def test_a_429_with_retry_after_is_survived(self, subject: Subject) -> None:
        with subject.opened() as source:
            pause = min(_RETRY_AFTER, _longest_wait(source.get_retry_policy()))
        for number, spot in enumerate(spots(subject)):
            wait = 0 if number else pause  # one pause shows it
            fault = _status(HTTPStatus.TOO_MANY_REQUESTS, [("Retry-After", str(math.ceil(wait)))])
            trial = tried(subject, spot, fault, times=1)
            _check_survived(spot, trial)
            hit, *later = [each for each in trial.served if each[:3] == trial.hit[:3]]
            if later and later[0].at - hit.at < wait:
                broken(
                    f"{trial.path}: a 429 asked for a pause of {wait} s, and the retry came earlier",
                    "leave retries to self.session, which honours Retry-After",
                )

    @needs(http)
    def test_a_503_is_survived(self, subject: Subject) -> None:
        for spot in spots(subject):
            _check_survived(spot, tried(subject, spot, _status(HTTPStatus.SERVICE_UNAVAILABLE), times=1))

    @needs(http)
    def test_a_401_is_not_retried(self, subject: Subject) -> None:
        with subject.opened() as source:
            renews = hasattr(source.session.auth, "renew")
        _check_refused(subject, HTTPStatus.UNAUTHORIZED, attempts=2 if renews else 1)

    @needs(http)
    def test_a_404_is_not_retried(self, subject: Subject) -> None:
        _check_refused(subject, HTTPStatus.NOT_FOUND, attempts=1)

    @needs(http)
    def test_a_503_that_stays_is_an_error(self, subject: Subject) -> None:
        for spot in spots(subject):
            _check_error(tried(subject, spot, _status(HTTPStatus.SERVICE_UNAVAILABLE)), "a 503")

    @needs(http)
    def test_a_cut_body_is_an_error(self, subject: Subject) -> None:
        for spot in spots(subject):
            _check_error(tried(subject, spot, _cut), "a body that breaks off")

    @needs(http)
    def test_invalid_json_is_an_error(self, subject: Subject) -> None:
        _check_body(subject, _body(b'{"items": ['), "invalid JSON")

    @needs(http)
    def test_an_html_page_is_an_error(self, subject: Subject) -> None:
        _check_body(subject, _html, "an HTML page with the status 200")

    @needs(http)
    def test_json_without_records_is_an_error(self, subject: Subject) -> None:
        fault = _body(json.dumps({"message": "this is not the list"}).encode())
        _check_body(subject, fault, "a JSON object without the list of records", names_path=False)


def _check_body(subject: Subject, fault: Fault, what: str, *, names_path: bool = True) -> None:
    are_json = [spot for spot in spots(subject) if _is_json(spot)]
    if not are_json:
        raise NotApplicable("the answers of the API are not JSON")
    for spot in are_json:
        _check_error(tried(subject, spot, fault), what, names_path=names_path)


def _is_json(spot: Spot) -> bool:
    try:
        return isinstance(spot.json, dict | list)
    except ValueError:
        return False


def _longest_wait(policy: "HttpRetriesConfig") -> float:
    return _RETRY_AFTER if policy.retry_after_max is None else policy.retry_after_max


def _check_survived(spot: Spot, trial: Trial) -> None:
    status = trial.error or trial.page
    if trial.page is None:
        broken(f"{trial.path}: one answer that a retry repairs ends the run: {shown(str(status))}", _USE_THE_SESSION)
    if trial.page.ids != spot.page.ids:
        broken(
            f"{trial.path}: after one answer that a retry repairs the page has {len(trial.page.ids)} records instead "
            f"of {len(spot.page.ids)}",
            _USE_THE_SESSION,
        )


def _check_refused(subject: Subject, status: HTTPStatus, attempts: int) -> None:
    with subject.opened() as source:
        is_skipped = source.skips(status)
    for spot in spots(subject):
        trial = tried(subject, spot, _status(status))
        if trial.page is None or not is_skipped:
            _check_error(trial, "a refusal")
        if trial.times > attempts:
            broken(
                f"{trial.path}: a refused request was sent {trial.times} times",
                "a refusal is not retried: leave retries to self.session",
            )


def _check_error(trial: Trial, what: str, *, names_path: bool = True) -> None:
    if trial.page is not None:
        broken(
            f"{trial.path}: {what} became a page of {len(trial.page.ids)} records",
            "raise an error: a full refresh would replace good data with less",
        )
    if names_path and not trial.names_a_path:
        broken(
            f"{trial.path}: the error after {what} does not name the path: {shown(str(trial.error), 300)}",
            "read pages with self.session.page, and let its errors pass",
        )


def _status(status: int, headers: list[tuple[str, str]] | None = None) -> Fault:
    def fault(_real: Answer, echo: str) -> Answer:
        body = json.dumps({"message": f"refused, for a test: {echo}"}).encode()
        return Answer(status, [*_JSON, *(headers or [])], body)

    return fault


def _body(body: bytes) -> Fault:
    return lambda _real, _echo: Answer(HTTPStatus.OK, _JSON, body)


def _html(_real: Answer, echo: str) -> Answer:
    page = f"<!doctype html><html><body><h1>Sorry, we are down.</h1><p>{echo}</p></body></html>"
    return Answer(HTTPStatus.OK, [("Content-Type", "text/html; charset=utf-8")], page.encode())


def _cut(real: Answer, _echo: str) -> Answer:
    body = real.body or b" "
    return real._replace(body=body[: len(body) // 2], announced=len(body))


REFUSALS: dict[str, Fault] = {
    "a 401": _status(HTTPStatus.UNAUTHORIZED),
    "a 400": _status(HTTPStatus.BAD_REQUEST),
    "an HTML page": _html,
}
"""Answers that repeat the credentials of the request, and end the run."""
