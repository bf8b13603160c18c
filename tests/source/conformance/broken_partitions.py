"""Sources that divide their stream incorrectly, each in one way."""

from itertools import count
from typing import Any, ClassVar

from items_api import SOURCE_FILE

from bizon.source.discover import load_custom_source

Items: Any = load_custom_source(SOURCE_FILE)


class Divides(Items):
    """Two ranges of cursors, correctly."""

    ranges: ClassVar[list[Any]] = [(None, "6"), ("6", None)]

    def get_partitions(self):
        return [{"cursor": begin, "end": end} for begin, end in self.ranges]

    def get(self, pagination=None):
        if self.partition is None:
            return super().get(pagination)
        begin = self.partition["cursor"]
        page = super().get(pagination or ({"cursor": begin} if begin else {}))
        if self.partition["end"] is not None and page.next_pagination.get("cursor") == self.partition["end"]:
            page.next_pagination = {}
        return page


class LeavesAGap(Divides):
    ranges: ClassVar = [(None, "3"), ("6", None)]


class Overlaps(Divides):
    ranges: ClassVar = [(None, "6"), ("3", None)]


class PlansMoreThanJson(Divides):
    def get_partitions(self):
        return [{**plan, "range": (plan["cursor"], plan["end"])} for plan in super().get_partitions()]


class ForgetsItsPartitionWhenItResumes(Divides):
    _has_begun = False

    def get(self, pagination=None):
        if pagination and not self._has_begun:
            self.partition = None
        self._has_begun = True
        return super().get(pagination)


class DiffersInItsState(Divides):
    states: ClassVar = count()

    def get(self, pagination=None):
        page = super().get(pagination)
        page.next_state = {"n": next(self.states)}
        return page
