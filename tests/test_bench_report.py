"""What the benches make of their figures. The measuring itself is no test: `make bench` does it."""

import pytest

from tests.bench.figures import CORE, TIMES, Figure, Row, quantity
from tests.bench.report import Report
from tests.bench.table import BEGIN, END, NoPlace, markdown_of, with_table

ROWS = {
    "posts": [
        Row("posts, 1 at once", (Figure("", 2741.4, "/s", 1000), Figure("p99", 0.72, "ms"))),
        Row("posts | 32 at once", (Figure("", 812.0, "/s", 1000),), "the disk"),
    ],
    "front": [Row("through Caddy", note="not measured: no caddy in PATH")],
}


def report() -> Report:
    return Report("2 × CPU", "2026-11-25", "055a747", 0.25, quick=False, rows=ROWS)


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
