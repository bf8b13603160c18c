"""A source for any table served by Datasette: pages by cursor, changes by a timestamp, ranges for several workers."""

from pydantic import Field
from requests.auth import AuthBase

from bizon.source.config import SourceConfig
from bizon.source.models import SourceIncrementalState, SourceIteration, SourceRecord
from bizon.source.source import AbstractSource

PARTS = 8


class FlightsConfig(SourceConfig):
    base_url: str = Field(description="Database to read, for example http://127.0.0.1:8001/flights")
    page_size: int = Field(default=5000, ge=1, description="Rows per page.")


class FlightsSource(AbstractSource):
    @staticmethod
    def streams() -> list[str]:
        return ["flights", "airlines"]

    @staticmethod
    def get_config_class() -> type[FlightsConfig]:
        return FlightsConfig

    def get_authenticator(self) -> AuthBase | None:
        return None

    def check_connection(self) -> tuple[bool, str | None]:
        self._fetch(_size=0, _nocount=1, _nosuggest=1)
        return True, None

    def get_total_records_count(self) -> int | None:
        return self._fetch(_size=0, _nosuggest=1)["filtered_table_rows_count"]

    def get_partitions(self) -> list[dict]:
        if self.config.stream != "flights":  # the other ids are texts
            return []
        newest = self._fetch(_size=1, _sort_desc="id", _nocount=1, _nosuggest=1)["rows"]
        last = newest[0]["id"] if newest else 0
        bounds = [last * part // PARTS for part in range(1, PARTS)]
        return [{"after": after, "until": until} for after, until in zip([None, *bounds], [*bounds, None], strict=True)]

    def get(self, pagination: dict | None = None) -> SourceIteration:
        part = self.partition or {"after": None, "until": None}
        ends = {"id__gt": part["after"], "id__lte": part["until"]}
        return self._page(pagination, **{name: end for name, end in ends.items() if end is not None})

    def get_records_after(
        self, source_state: SourceIncrementalState, pagination: dict | None = None
    ) -> SourceIteration:
        field, end = source_state.cursor_field, source_state.run_started_at
        changed = {f"{field}__gte": source_state.last_run.isoformat()}
        if end is not None:
            changed[f"{field}__lt"] = end.isoformat()
        return self._page(pagination, **changed)

    def _page(self, pagination: dict | None, **filters: object) -> SourceIteration:
        cursor = {"_next": pagination["next"]} if pagination else {}
        page = self._fetch(_size=self.config.page_size, _nocount=1, _nosuggest=1, **cursor, **filters)
        records = [SourceRecord(id=row["id"], data=row) for row in page["rows"]]
        return SourceIteration(records=records, next_pagination={"next": page["next"]} if page["next"] else {})

    def _fetch(self, **params: object) -> dict:
        url = f"{self.config.base_url}/{self.config.stream}.json"
        return self.session.get(url, params={"_shape": "objects", **params}).json()
