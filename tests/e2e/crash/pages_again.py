"""The pages that are fetched twice when runs are killed."""

from dataclasses import dataclass
from pathlib import Path


@dataclass
class PagesAgain:
    """Read from the traces of the source: pages served in a killed run and requested again in a later one."""

    again: int = 0
    in_flight: int = 0
    oldest: float = 0

    def __str__(self) -> str:
        return (
            f"{self.again} pages fetched again, the oldest served {self.oldest:.2f} s before the kill, and "
            f"{self.in_flight} in flight"
        )

    def read(self, trace: Path) -> None:
        served: dict[str, float] = {}
        lost_at: dict[str, float] = {}
        in_flight: str | None = None
        for line in trace.read_text().splitlines() if trace.exists() else []:
            what, page, at = line.split()
            if what == "killed":
                lost_at |= {known: float(at) - when for known, when in served.items() if known not in lost_at}
                self.in_flight += in_flight is not None
                in_flight = None
            elif what == "asked":
                in_flight = page
                if served.pop(page, None) is not None:  # until it is served again, it is in flight
                    self.again += 1
                    self.oldest = max(self.oldest, lost_at.pop(page, 0))
            else:
                in_flight = None
                served[page] = float(at)
                lost_at.pop(page, None)
