"""Sources that page incorrectly, each in one way."""

from datetime import datetime
from random import Random
from typing import Any

from items_api import SOURCE_FILE

from bizon.source.discover import load_custom_source
from bizon.source.models import SourceIteration, SourceRecord

Items: Any = load_custom_source(SOURCE_FILE)


class SkipsTheLastPage(Items):
    def get(self, pagination=None):
        page = super().get(pagination)
        is_last = page.next_pagination and not super().get(page.next_pagination).next_pagination
        return SourceIteration(records=page.records, next_pagination={} if is_last else page.next_pagination)


class SkipsTheLastPageAndHasNoTotal(SkipsTheLastPage):
    def get_total_records_count(self):
        return None


class SkipsTheLastNumberedPage(Items):
    """Treats a page that is not full as the last one, and the API has a smaller limit than the source believes."""

    def get(self, pagination=None):
        number = pagination["page"] if pagination else 0
        page = self.fetch(cursor=str(3 * number))
        records = [SourceRecord(id=item["id"], data=item) for item in page["items"]]
        return SourceIteration(records=records, next_pagination={"page": 1} if number == 0 else {})


class RepeatsAPage(Items):
    def get(self, pagination=None):
        if pagination and pagination.get("again"):
            return super().get({"cursor": pagination["again"]})
        page = super().get(pagination)
        if pagination and page.next_pagination:
            return SourceIteration(records=page.records, next_pagination={"again": pagination["cursor"]})
        return page


class NeverEnds(Items):
    def iteration(self, page):
        found = super().iteration(page)
        return SourceIteration(records=found.records, next_pagination=found.next_pagination or {"cursor": "0"})


class NeverEndsWithNewPaginations(Items):
    def get(self, pagination=None):
        number = pagination["n"] + 1 if pagination else 1
        return SourceIteration(records=super().get().records if number == 1 else [], next_pagination={"n": number})


class NumbersItsIds(Items):
    def iteration(self, page):
        records = [SourceRecord(id=number, data=item) for number, item in enumerate(page["items"])]
        return SourceIteration(records=records, next_pagination=super().iteration(page).next_pagination)


class DrawsItsIds(Items):
    def iteration(self, page):
        records = [SourceRecord(id=Random().getrandbits(60), data=item) for item in page["items"]]
        return SourceIteration(records=records, next_pagination=super().iteration(page).next_pagination)


class ChangesItsOrder(Items):
    """Each instance reads the pages in a different order."""

    instances = 0

    def __init__(self, config):
        super().__init__(config)
        ChangesItsOrder.instances += 1
        self.order = ["0", "3", "6"] if self.instances % 2 else ["6", "0", "3"]

    def get(self, pagination=None):
        number = pagination["n"] if pagination else 0
        records = super().get({"cursor": self.order[number]}).records
        following = {"n": number + 1} if number + 1 < len(self.order) else {}
        return SourceIteration(records=records, next_pagination=following)


class KeepsItsPositionToItself(Items):
    position = None

    def get(self, pagination=None):
        if not pagination:
            self.position = None
        page = super().get(self.position)
        self.position = page.next_pagination
        return SourceIteration(
            records=page.records, next_pagination={"more": self.position["cursor"]} if self.position else {}
        )


class CannotTakeNone(Items):
    def get(self, pagination=None):
        return super().get({"cursor": pagination.get("cursor")})


class CarriesAllThatIsLeft(Items):
    def iteration(self, page):
        found = super().iteration(page)
        following = found.next_pagination and {**found.next_pagination, "left": [f"item-{n}" for n in range(2_000)]}
        return SourceIteration(records=found.records, next_pagination=following)


class CarriesAMoment(Items):
    def get(self, pagination=None):
        page = super().get(pagination)
        following = page.next_pagination and {**page.next_pagination, "at": datetime(2024, 1, 1)}
        return SourceIteration(records=page.records, next_pagination=following)


class CarriesASet(Items):
    def iteration(self, page):
        found = super().iteration(page)
        return SourceIteration(records=found.records, next_pagination=found.next_pagination and {"cursor": {"3"}})
