"""What a text would cost to render, told before it is: no text may take 50 ms.

markdown-it is linear in the text, or nearly so, but each mark takes it some microseconds,
and a text of 24,000 marks would take 200 ms. So the marks are counted first. The figures are
microseconds, measured on a slow core; they need to be right within a factor of two.
"""

import re
from collections.abc import Iterable
from typing import Final

from agentgather.page.spelling import HIDDEN_RUN

MAX_COST_US: Final = 20_000
"""Prose and reports of 24,000 characters cost some 5,000, this project's own pages 12,000."""

_LINE_US: Final = 6
_CELL_US: Final = 9
_ITEM_US: Final = 25
_ITEM: Final = re.compile(r"(?:[*+-]|[0-9][.)])(?=\s|\Z)")
_DELIMITER_ROW: Final = re.compile(r"[>\s]*[|:-][|:\s-]*")
# What may begin or end something within a line. A mark can be in several rows.
_MARKS: Final = (
    (re.compile(r"[]#$%+\-=>@^{}:&\\!<]"), 1.5),
    (re.compile(r"[\n`&]"), 4),
    (re.compile(r"@[a-z0-9]"), 4),
    (re.compile(r"[*_~]"), 7),
    (re.compile(r"\["), 12),
    (re.compile(r"!\["), 18),
    (re.compile(r"://"), 25),
    (re.compile(r"\]\("), 25),
    (re.compile(r"@[\w.-]+>"), 35),
)


class TooCostly(Exception):
    """The text would take too long. It is to be shown as it is."""


def block_cost_us(text: str) -> float:
    """Give what it costs to find the text's paragraphs, lists, tables and code."""
    lines = text.split("\n")
    cost: float = _LINE_US * len(lines) + _ITEM_US * len(_ITEM.findall(text))
    if not text.isprintable():
        cost += 4 * len(HIDDEN_RUN.findall(text))
    return cost + _CELL_US * _cells(lines) if "|" in text else cost


def line_cost_us(contents: Iterable[str]) -> float:
    """Give what it costs to find what is within the lines of paragraphs, cells and headings."""
    joined = "\0".join(contents)
    return sum(cost * len(pattern.findall(joined)) for pattern, cost in _MARKS)


def _cells(lines: list[str]) -> int:
    """Give the most cells that there can be: a short row has as many as the first one.

    A table begins with a row of dashes, and ends at a blank line at the latest.
    """
    cells = columns = 0
    for line in lines:
        if not line or line.isspace():
            columns = 0
        elif "-" in line and _DELIMITER_ROW.fullmatch(line):
            columns = max(columns, line.count("|") + 1)
        cells += columns
    return cells
