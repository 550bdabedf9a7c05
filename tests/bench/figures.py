"""What a measurement gives: rows of figures, each with what limits it and what is wanted.

As data, so that the same rows are printed, written as JSON, put into a page and compared.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

MORE_IS_BETTER: Final = frozenset({"/s", "MB/s"})
"""The units of which more is better. Of all others, less is."""
CORE: Final = "% of a core"
TIMES: Final = "×"
"""The unit of a ratio; its label says to what. What is counted has the unit ``""``."""


class Figure(NamedTuple):
    """One value. ``label`` says which of its row it is; it may be empty.

    ``wanted`` is the least of a rate that will do, and the most of anything else.
    """

    label: str
    value: float
    unit: str
    wanted: float | None = None

    @property
    def is_missed(self) -> bool:
        if self.wanted is None:
            return False
        if self.unit in MORE_IS_BETTER:
            return self.value < self.wanted
        return self.value > self.wanted

    @property
    def text(self) -> str:
        value = quantity(self.value, self.unit)
        return (f"{value} {self.label}" if self.unit == TIMES else f"{self.label} {value}").strip()

    @property
    def wanted_text(self) -> str:
        if self.wanted is None:
            return ""
        sign = "≥" if self.unit in MORE_IS_BETTER else "≤"
        missed = ", **missed**" if self.is_missed else ""
        return f"{self.label} {sign} {quantity(self.wanted, self.unit)}{missed}".strip()


class Row(NamedTuple):
    """One line of the table. ``limited_by`` says why the figures are not better.

    ``note`` stands behind the figures, or in their place where nothing was measured.
    """

    what: str
    figures: tuple[Figure, ...] = ()
    limited_by: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        return ", ".join(part for part in (*(one.text for one in self.figures), self.note) if part)

    @property
    def wanted_text(self) -> str:
        return ", ".join(one.wanted_text for one in self.figures if one.wanted is not None)


Rows = Iterator[Row]


def quantity(value: float, unit: str) -> str:
    """Give about three digits of a value, with its unit."""
    if value == int(value) and abs(value) < 1e15:
        number = f"{value:,.0f}"
    else:
        size = abs(value)
        number = f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}"
    between = "" if not unit or unit[0] in "/%×" else " "
    return f"{number}{between}{unit}"


def load_figures(result: dict[str, float], wanted_per_second: float | None = None) -> list[Figure]:
    """Give the figures of a closed loop: its rate, the times of its answers, the CPU of each."""
    figures = [
        Figure("", result["per_second"], "/s", wanted_per_second),
        Figure("p50", result["p50_ms"], "ms"),
        Figure("p99", result["p99_ms"], "ms"),
    ]
    if "cpu_us" in result:
        figures.append(Figure("CPU for each", result["cpu_us"], "µs"))
    return figures
