"""Two sides of a comparison, measured in turns: by how much they differ, and whether they do."""

import math
import statistics
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple

from tests.bench.figures import MORE_IS_BETTER, quantity
from tests.bench.report import Report

CHANCE: Final = 0.01
"""A difference that chance alone would make more often than this is noise."""


class Change(NamedTuple):
    """One figure on both sides; the values of one place are of one turn."""

    part: str
    what: str
    unit: str
    base: tuple[float, ...]
    here: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """Give here against base by turn, without the turns in which there was nothing."""
        pairs = zip(self.base, self.here, strict=True)
        return [here / base for base, here in pairs if base > 0]

    @property
    def verdict(self) -> str:
        """Say ``better`` or ``worse`` where the difference is beyond the noise; else ``""``."""
        if chance_of(self.base, self.here) > CHANCE:
            return ""
        is_more = statistics.median(self.here) > statistics.median(self.base)
        return "better" if is_more is (self.unit in MORE_IS_BETTER) else "worse"

    @property
    def line(self) -> str:
        medians = (quantity(statistics.median(side), self.unit) for side in (self.base, self.here))
        ratios = self.ratios
        spread = "–"
        if ratios:
            spread = f"{statistics.median(ratios):.2f}  ({min(ratios):.2f} … {max(ratios):.2f})"
        base, here = medians
        return f"{self.what:74} {base:>17} {here:>17}  {spread:24} {self.verdict}".rstrip()


def changes(base: Sequence[Report], here: Sequence[Report]) -> Iterator[Change]:
    """Give every figure that all reports have; the reports of one place are of one turn."""
    found = [values_of(report) for report in (*base, *here)]
    for key in found[0]:
        if all(key in values for values in found):
            values = tuple(one[key] for one in found)
            yield Change(*key, values[: len(base)], values[len(base) :])


def values_of(report: Report) -> dict[tuple[str, str, str], float]:
    return {
        (part, f"{row.what}: {figure.label}".removesuffix(": "), figure.unit): figure.value
        for part, rows in report.rows.items()
        for row in rows
        for figure in row.figures
    }


def chance_of(one: Sequence[float], other: Sequence[float]) -> float:
    """Give how likely two samples lie so far apart if nothing but chance parts them.

    The rank-sum test of Mann and Whitney, two-sided and exact but for ties. It asks only which
    of two values is the greater, so one turn that went wrong does not decide it.
    """
    above = sum((a > b) + (a == b) / 2 for a in one for b in other)
    fewest = math.floor(min(above, len(one) * len(other) - above))
    ways = sum(orders(len(one), len(other), wins) for wins in range(fewest + 1))
    return min(1.0, 2 * ways / math.comb(len(one) + len(other), len(one)))


@cache
def orders(one: int, other: int, wins: int) -> int:
    """Count the orders of two samples in which so many pairs have the one's value above."""
    if wins < 0:
        return 0
    if one == 0 or other == 0:
        return int(wins == 0)
    # The greatest of all is the one's, and above each of the other's; or it is the other's.
    return orders(one - 1, other, wins - other) + orders(one, other - 1, wins)
