"""What the benches make of their figures. The measuring itself is no test: `make bench` does it."""

import subprocess
import sys
from itertools import combinations
from typing import Final

import pytest

from tests.bench.figures import CORE, TIMES, Figure, Row, quantity
from tests.bench.parts import PARTS
from tests.bench.processes import REPOSITORY
from tests.bench.ratios import CHANCE, Change, chance_of, changes
from tests.bench.report import Report
from tests.bench.table import BEGIN, END, NoPlace, markdown_of, with_table

ROWS = {
    "posts": [
        Row("posts, 1 at once", (Figure("", 2741.4, "/s", 1000), Figure("p99", 0.72, "ms"))),
        Row("posts | 32 at once", (Figure("", 812.0, "/s", 1000),), "the disk"),
    ],
    "front": [Row("through Caddy", note="not measured: no caddy in PATH")],
}


def report(rows: dict[str, list[Row]] = ROWS) -> Report:
    return Report("2 × CPU", "2026-11-25", "055a747", 0.25, quick=False, rows=rows)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2741.4, "/s", "2,741/s"),
        (23.456, "ms", "23.5 ms"),
        (0.3412, "ms", "0.34 ms"),
        (1_000, "", "1,000"),
        (3.5, CORE, "3.50% of a core"),
    ],
)
def test_a_quantity_has_about_three_digits_and_its_unit(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_the_label_of_a_ratio_says_to_what() -> None:
    assert Figure("the disk's rate", 0.61, TIMES).text == "0.61× the disk's rate"


@pytest.mark.parametrize(
    ("figure", "is_missed"),
    [
        (Figure("", 999, "/s", 1000), True),
        (Figure("", 1000, "/s", 1000), False),
        (Figure("", 2.1, "s", 2), True),
        (Figure("", 2, "s", 2), False),
        (Figure("", 9e9, "s"), False),
    ],
)
def test_a_rate_is_wanted_at_least_and_all_else_at_most(figure: Figure, *, is_missed: bool) -> None:
    assert figure.is_missed is is_missed
    assert ("missed" in figure.wanted_text) is is_missed


def test_a_report_is_one_table_with_a_line_before_each_part() -> None:
    table = markdown_of(report(), {"posts": "Posts", "front": "Through Caddy"})
    assert table.splitlines()[2:] == [
        "| | measured | wanted | what limits it |",
        "|---|---|---|---|",
        "| **Posts** | | | `posts` |",
        "| posts, 1 at once | 2,741/s, p99 0.72 ms | ≥ 1,000/s | |",
        "| posts \\| 32 at once | 812/s | ≥ 1,000/s, **missed** | the disk |",
        "| **Through Caddy** | | | `front` |",
        "| through Caddy | not measured: no caddy in PATH | | |",
    ]
    for fact in ("2 × CPU", "2026-11-25", "055a747", "0.2"):
        assert fact in table.splitlines()[0]


def test_a_report_comes_back_from_its_json() -> None:
    assert Report.from_json(report().to_json()) == report()


def test_a_new_table_takes_the_place_of_the_old_one_and_of_nothing_else() -> None:
    page = f"before\n\n{BEGIN}\n\nold\n\n{END}\n\nafter\n"
    assert with_table(page, "new") == f"before\n\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n"


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_page_without_one_place_for_the_table_is_left_alone(page: str) -> None:
    with pytest.raises(NoPlace):
        with_table(page, "new")


@pytest.mark.parametrize("program", ["run.py", "compare.py"])
def test_who_asks_for_help_or_for_what_is_not_there_gets_a_text_and_no_measurement(
    program: str,
) -> None:
    command = [sys.executable, str(REPOSITORY / "tests" / "bench" / program)]
    told = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert told.stdout.startswith(f"usage: tests/bench/{program}")
    refused = subprocess.run([*command, "HEAD", "tea"], capture_output=True, text=True)
    assert refused.returncode == 2
    for name in PARTS:
        assert name in refused.stderr


# --- Two commits ----------------------------------------------------------------------
SLOW: Final = (100.0, 104.0, 98.0, 101.0, 103.0)
QUICK: Final = (120.0, 121.0, 119.0, 140.0, 125.0)


def change(unit: str, base: tuple[float, ...], here: tuple[float, ...]) -> Change:
    return Change("posts", "posts, 1 at once", unit, base, here)


def test_more_of_a_rate_is_better_and_more_of_all_else_is_worse() -> None:
    assert change("/s", SLOW, QUICK).verdict == "better"
    assert change("/s", QUICK, SLOW).verdict == "worse"
    assert change("ms", SLOW, QUICK).verdict == "worse"
    assert change("ms", QUICK, SLOW).verdict == "better"


def test_what_may_be_noise_has_no_verdict() -> None:
    mixed = (*SLOW[:3], *QUICK[3:])
    assert change("/s", SLOW, mixed).verdict == ""
    assert change("/s", SLOW, SLOW).verdict == ""


def test_one_turn_that_went_wrong_does_not_decide_nine() -> None:
    base, here = (*SLOW, 99.0, 97.0, 102.0, 300.0), (*QUICK, 122.0, 119.5, 121.5, 130.0)
    assert change("/s", base, here).verdict == "better"


def test_the_ratios_are_of_the_same_turn_with_their_median_and_spread() -> None:
    found = change("/s", (100.0, 200.0, 50.0), (110.0, 180.0, 50.0))
    assert found.ratios == [1.1, 0.9, 1.0]
    assert "1.00  (0.90 … 1.10)" in found.line


def test_a_turn_without_anything_on_the_other_side_has_no_ratio() -> None:
    found = change("", (0.0, 0.0), (0.0, 1.0))
    assert found.ratios == []
    assert "–" in found.line


def test_only_what_all_turns_have_is_compared() -> None:
    without = {"posts": ROWS["posts"][:1]}
    found = list(changes([report(), report()], [report(), report(without)]))
    assert [(one.what, one.base, one.here) for one in found] == [
        ("posts, 1 at once", (2741.4, 2741.4), (2741.4, 2741.4)),
        ("posts, 1 at once: p99", (0.72, 0.72), (0.72, 0.72)),
    ]


def test_the_chance_is_the_share_of_all_orders_that_are_as_far_apart() -> None:
    ranks = range(8)
    for places in combinations(ranks, 4):
        others = [rank for rank in ranks if rank not in places]
        assert chance_of(places, others) == pytest.approx(share_as_far_apart(places))


def share_as_far_apart(places: tuple[int, ...]) -> float:
    """Count them all: how far the sum of ranks is from its middle, 14."""
    sums = [sum(some) for some in combinations(range(8), 4)]
    return sum(abs(one - 14) >= abs(sum(places) - 14) for one in sums) / len(sums)


def test_five_turns_can_show_a_difference_and_four_can_not() -> None:
    assert chance_of(SLOW, QUICK) <= CHANCE < chance_of(SLOW[:4], QUICK[:4])
