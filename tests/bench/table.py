"""A report as the table of a page, and how it gets there."""

from collections.abc import Mapping
from typing import Final

from tests.bench.figures import Row
from tests.bench.report import Report

BEGIN: Final = "<!-- `make bench` writes what follows, up to its end. -->"
END: Final = "<!-- The end of what `make bench` writes. -->"


class NoPlace(Exception):
    """The page has not one BEGIN and one END behind it."""


def markdown_of(report: Report, titles: Mapping[str, str]) -> str:
    """Give the report as one table of Markdown; each part begins with a line of its own."""
    lines = [
        f"{report.machine}. Measured on {report.date}, commit {report.commit}; the load average "
        f"was {report.load:.1f} at the start.",
        "",
    ]
    if report.quick:
        lines += ["This was a quick run: each figure is of one short measurement.", ""]
    lines += ["| | measured | wanted | what limits it |", "|---|---|---|---|"]
    for part, rows in report.rows.items():
        lines.append(f"| **{cell(titles[part])}** | | | `{part}` |")
        lines += [line_of(row) for row in rows]
    return "\n".join(lines)


def line_of(row: Row) -> str:
    cells = (row.what, row.text, row.wanted_text, row.limited_by)
    return "|" + "".join(f" {cell(text)} |" if text else " |" for text in cells)


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def with_table(page: str, table: str) -> str:
    """Give the page with ``table`` in the place of the one that it has.

    Raises:
        NoPlace: there is no such place, or more than one.

    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in after:
        raise NoPlace(f"the page needs one line {BEGIN} and one line {END} behind it")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"
