"""One page fetched under a fault, and everything that came out of it."""

import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch
from urllib.parse import urlsplit

from bizon.common.interrupts import is_for_the_process
from bizon.common.secret import MASK
from bizon.source.body import decode_json
from bizon.testing.source_faults import Answer, Fault, Served, detour_of
from bizon.testing.source_subject import NotApplicable, Page, Subject, broken

if TYPE_CHECKING:
    from bizon.source.source import AbstractSource


class Spot(NamedTuple):
    """A request that a fault may hit: the page that it belongs to, and its number among the requests of the page."""

    page: Page
    number: int
    real: Answer

    @property
    def json(self) -> Any:
        """The real answer. Raises ValueError when it is not JSON."""
        return json.loads(decode_json(self.real.body))


class Trial(NamedTuple):
    """A page that was fetched under a fault: the page or the error, and the requests."""

    page: Page | None
    error: Exception | None
    served: list[Served]

    @property
    def hit(self) -> Served:
        """The first request that got the fault."""
        return next(each for each in self.served if each.is_faulty)

    @property
    def path(self) -> str:
        """The path of the first URL that got the fault."""
        return urlsplit(self.hit.url).path

    @property
    def names_a_path(self) -> bool:
        """Whether the error names a URL that got the fault, such as the page, or the login that follows its 401."""
        paths = [urlsplit(each.url).path for each in self.served if each.is_faulty]
        return any(path in text for path in paths for text in (str(self.error), *_unmasked(str(self.error), paths)))

    @property
    def times(self) -> int:
        """How often the request that got the fault was sent."""
        return sum(each[:3] == self.hit[:3] for each in self.served)


def _unmasked(error: str, paths: Sequence[str]) -> Iterator[str]:
    """The paths that an error names with a secret masked in them."""
    for masked in re.findall(rf"/[^\s/:]*{re.escape(MASK)}[^\s:]*", error):
        pattern = re.escape(masked).replace(re.escape(MASK), ".+")
        yield from (path for path in paths if re.search(f"{pattern}$", path))


def spots(subject: Subject, pages: Sequence[Page] = ()) -> list[Spot]:
    """The requests that faults hit: the first and the last one of each page, by default the first two.

    Raises NotApplicable for a source that fetches nothing over HTTP, BehaviourError for one that should and does not.
    """
    if not subject.source_class.fetches_over_http:
        raise NotApplicable("the source declares fetches_over_http = False")
    found = []
    for page in pages or subject.pages[:2]:
        with subject.opened() as source, detour_of(source.session) as detour:
            subject.page(source, page.asked)
            served = list(detour.served)
        if not served:
            broken(
                "no request went through self.session",
                "fetch with self.session, which has time-outs and retries; a source that needs no HTTP declares "
                "fetches_over_http = False",
            )
        for number in dict.fromkeys((0, len(served) - 1)):
            real = served[number].real
            if real is not None:
                found.append(Spot(page, number, real))
    return found


def tried(subject: Subject, spot: Spot, fault: Fault, times: int | None = None) -> Trial:
    """Fetch the page of a spot by a new instance, with the fault ``times`` times; None = for as long as it asks."""
    with subject.opened() as source, detour_of(source.session) as detour:
        detour.plan(fault, spot.number, times)
        page, error = attempt(subject, source, spot.page.asked)
        trial = Trial(page, error, list(detour.served))
    if not any(each.is_faulty for each in trial.served):
        if detour.troubles:
            broken(f"the API itself answered {detour.troubles[-1]} all the time", "run again when the API is well")
        broken("the same page sends other requests each time", "fetch a page with the same requests each time")
    return trial


def attempt(subject: Subject, source: "AbstractSource", asked: dict[str, Any]) -> tuple[Page | None, Exception | None]:
    """One page, or the error that ends the run."""
    try:
        return subject.page(source, asked), None
    except Exception as error:
        if is_for_the_process(error):
            raise
        return None, error


class Traffic:
    """How many requests a source sent: through its session, and past it."""

    inside = 0
    outside = 0


@contextmanager
def traffic_of(source: "AbstractSource") -> Iterator[Traffic]:
    """Within: the requests of a source are counted. The authenticator's own belong to neither number."""
    traffic, here = Traffic(), threading.local()
    send, request, put = source.session.send, source.session.request, HTTPConnection.putrequest

    def within(call: Any, *args: Any, **kwargs: Any) -> Any:
        depth, here.depth = getattr(here, "depth", 0), getattr(here, "depth", 0) + 1
        try:
            return call(*args, **kwargs)
        finally:
            here.depth = depth

    def counted_send(*args: Any, **kwargs: Any) -> Any:
        traffic.inside += 1
        return within(send, *args, **kwargs)

    def counted_put(connection: HTTPConnection, *args: Any, **kwargs: Any) -> Any:
        traffic.outside += not getattr(here, "depth", 0)
        return put(connection, *args, **kwargs)

    def noted_request(*args: Any, **kwargs: Any) -> Any:
        return within(request, *args, **kwargs)

    with (
        patch.object(source.session, "send", counted_send),
        patch.object(source.session, "request", noted_request),
        patch.object(HTTPConnection, "putrequest", counted_put),
    ):
        yield traffic
