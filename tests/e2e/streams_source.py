"""Six streams of numbered items; the lines of the trace begin with the stream."""

from items_source import ItemsSource


class SixStreams(ItemsSource):
    @staticmethod
    def streams() -> list[str]:
        return list("abcdef")

    def _note(self, line: str) -> None:
        super()._note(f"{self.config.stream} {line}")
