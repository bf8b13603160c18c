"""Stand-ins for the APIs of the presets. They behave like the documentation of these APIs: caps, limits and refusals
included."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from standins.rest.server import TOKEN, Asked, Json, Reply, RestStandIn, Route, by_link

START = datetime(2024, 5, 1, tzinfo=UTC)
BEARER: Json = {"type": "bearer", "params": {"token": TOKEN}}
NAMES = [f"pokemon-{number}" for number in range(7)]
REPOSITORIES = 5
ISSUES = 6  # of each repository; one per hour from START
EVENTS = 9  # two per minute from START
CAP = 10_000  # records of a search
SECONDS_BETWEEN = 7  # of the edits of contacts, from START
ORG: Json = {"variables": {"org": "acme"}, "authentication": BEARER}


class Throttle:
    """Refuses the second request of each list once, for its rate. ``refused``: the lists."""

    def __init__(self, api: RestStandIn) -> None:
        self._counts = Counter[str]()
        api.refused = self.refused = list[str]()

    def __call__(self, route: Route) -> Route:
        def answer(asked: Asked) -> Reply | Any:
            self._counts[asked.path] += 1
            if self._counts[asked.path] != 2:
                return route(asked)
            self.refused.append(asked.path)
            return Reply({"message": "You have reached your limit."}, 429, {"Retry-After": "0"})

        return answer


def pokeapi(api: RestStandIn) -> None:
    """A list with three names on a page, and the details of each name."""

    def listed(asked: Asked) -> Json:
        start, size = int(asked.params.get("offset", 0)), min(int(asked.params["limit"]), 3)
        following = f"{api.url}{asked.path}?offset={start + size}&limit={size}"
        found = [{"name": name, "url": f"{api.url}/pokemon/{name}/"} for name in NAMES[start : start + size]]
        last = start + size >= len(NAMES)
        return {"count": len(NAMES), "next": None if last else following, "previous": None, "results": found}

    def details(asked: Asked) -> Json:
        name = asked.path.split("/")[2]
        return {"id": NAMES.index(name), "name": name}

    api.routes |= {"/pokemon": listed, "/pokemon/*": details}


def github(api: RestStandIn, limits: int = 0) -> None:
    """Repositories of which ``r1`` has no issues and no commits. ``limits``: the number of requests that meet the
    secondary rate limit."""
    repositories = [
        {"id": number, "name": f"r{number}", "full_name": f"acme/r{number}", "owner": {"login": "acme"}}
        for number in range(REPOSITORIES)
    ]
    issues = [
        {"id": number, "updated_at": (START + timedelta(hours=number)).isoformat().replace("+00:00", "Z")}
        for number in range(ISSUES)
    ]
    refusals = iter(range(limits))

    def below(asked: Asked) -> Reply:
        _, _, _, name, what = asked.path.split("/")
        if next(refusals, None) is not None:
            return Reply({"message": "You have exceeded a secondary rate limit. Please wait."}, 403)
        if name == "r1":
            return Reply({"message": "Git Repository is empty."}, 409 if what == "commits" else 410)
        since, until = asked.params.get("since", ""), asked.params.get("until", "9")
        if what == "commits":
            times = [each for each in issues if since <= each["updated_at"] < until]
            commits = [
                {"sha": f"{name}-{each['id']}", "commit": {"committer": {"date": each["updated_at"]}}} for each in times
            ]
            return by_link(commits, asked, api.url, 4)
        if what == "pulls":
            since = ""
        found = [{**each, "id": f"{name}-{each['id']}"} for each in issues if each["updated_at"] >= since]
        return by_link(found, asked, api.url, 4)

    api.admits = lambda asked: asked.headers.get("authorization") == f"Bearer {TOKEN}"
    api.routes["/orgs/acme/repos"] = lambda asked: by_link(repositories, asked, api.url, 2)
    api.routes["/repos/*"] = below


def stripe(api: RestStandIn) -> None:
    """Lists of which the newest record is the first."""
    created = int(START.timestamp())
    events = [{"id": f"evt_{number}", "created": created + 60 * (number // 2)} for number in range(EVENTS)][::-1]

    def listed(asked: Asked) -> Json:
        low = int(asked.params.get("created[gte]", 0))
        high = int(asked.params.get("created[lt]", 10**12))
        found = [each for each in events if low <= each["created"] < high]
        after = asked.params.get("starting_after")
        names = [each["id"] for each in found]
        begin = names.index(after) + 1 if after else 0
        size = min(int(asked.params["limit"]), 4)
        return {"object": "list", "data": found[begin : begin + size], "has_more": begin + size < len(found)}

    api.admits = lambda asked: asked.headers.get("authorization") == f"Bearer {TOKEN}"
    once = Throttle(api)
    api.routes["/events"] = api.routes["/subscriptions"] = listed
    api.routes |= {f"/{name}": once(listed) for name in ("charges", "customers", "invoices")}


def hubspot(api: RestStandIn, count: int, cap: int = CAP) -> None:
    """Contacts and custom objects by a search that gives out 10,000 records of a query and refuses more, and lists of
    archived ones."""
    moments = [START + timedelta(seconds=SECONDS_BETWEEN * number) for number in range(count)]
    texts = [moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") for moment in moments]

    def search(asked: Asked, changed: str = "lastmodifieddate") -> Reply | Json:
        bounds = {"GTE": "0", "LT": "9" * 15}
        for each in asked.params["filterGroups"][0]["filters"]:
            assert isinstance(each["value"], str)
            assert each["propertyName"] == changed
            bounds[each["operator"]] = each["value"]
        low, high = int(bounds["GTE"]), int(bounds["LT"])
        found = [number for number, moment in enumerate(moments) if low <= round(moment.timestamp() * 1000) < high]
        begin, size = int(asked.params.get("after", 0)), asked.params["limit"]
        if begin + size > cap or size > 200:
            return Reply({"status": "error", "message": "There was a problem with the request."}, 400)
        shown = [_contact(number, {changed: texts[number]}) for number in found[begin : begin + size]]
        return {"total": len(found), "results": shown, **_following(begin + size, min(len(found), cap))}

    def archived(asked: Asked) -> Json:
        found = [_contact(number, {}) | {"archived": True} for number in range(3)]
        begin, size = int(asked.params.get("after", 0)), int(asked.params["limit"])
        shown = found[begin : begin + size] if asked.params["archived"] == "true" else []
        return {"results": shown, **_following(begin + size, len(found))}

    once = Throttle(api)
    api.admits = lambda asked: asked.headers.get("authorization") == f"Bearer {TOKEN}"
    api.routes |= {
        "/crm/v3/objects/contacts/search": search,
        "/crm/v3/objects/contacts": archived,
        "/crm/v3/objects/p_cars/search": lambda asked: search(asked, "hs_lastmodifieddate"),
        "/crm/v3/objects/p_cars": archived,
    }
    for name in ("companies", "deals", "tickets"):
        path = f"/crm/v3/objects/{name}/search"
        api.routes[path] = once(lambda asked: search(asked, "hs_lastmodifieddate"))


def _following(end: int, count: int) -> Json:
    """The link to the next page of a list, if there is one."""
    return {"paging": {"next": {"after": str(end)}}} if end < count else {}


def _contact(number: int, properties: dict[str, Any]) -> Json:
    return {"id": str(number), "properties": {"email": f"{number}@x", **properties}, "archived": False}


SERVE: dict[str, Callable[[RestStandIn], None]] = {
    "pokeapi": pokeapi,
    "github": github,
    "stripe": stripe,
    "hubspot": lambda api: hubspot(api, 450),
}
"""A small stand-in of each."""
