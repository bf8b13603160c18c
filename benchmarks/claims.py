"""A claim: one figure, and the limit that it has to keep."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Sense = Literal["at most", "at least"]
Verdict = Literal["ok", "MISS", "not run"]


@dataclass(frozen=True)
class Claim:
    """``figure`` is None when it could not be measured; ``reason`` then says why. ``detail``: medians and spread."""

    name: str
    figure: float | None
    sense: Sense
    limit: float
    unit: str = "x"
    reason: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        if self.figure is None or math.isnan(self.figure):
            return "not run"
        kept = self.figure <= self.limit if self.sense == "at most" else self.figure >= self.limit
        return "ok" if kept else "MISS"

    @property
    def measured(self) -> str:
        return "-" if self.figure is None else number(self.figure, self.unit)

    @property
    def target(self) -> str:
        return f"{'<=' if self.sense == 'at most' else '>='} {number(self.limit, self.unit)}"

    def line(self) -> str:
        """The text that is printed while the benchmark runs."""
        verdict = f"not run: {self.reason}" if self.verdict == "not run" else self.verdict
        return f"{self.name:<52} {self.measured:>10}  {self.target:>11}  {verdict}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def number(value: float, unit: str) -> str:
    """A figure with its unit: ratios with two places, percentages with one, sizes and counts with none."""
    if unit == "x":
        return f"{value:.2f} x"
    if unit == "%":
        return f"{value:.1f} %"
    return f"{value:,.0f} {unit}"


def worst(claims: list[Claim]) -> Claim:
    """The worst figure of a claim that was measured several times."""
    measured = [claim for claim in claims if claim.verdict != "not run"]
    if not measured:
        return claims[0]
    pick = max if measured[0].sense == "at most" else min
    return pick(measured, key=lambda claim: claim.figure or 0.0)
