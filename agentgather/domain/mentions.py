"""Who a text names as ``@alias``, outside of code. Linear in the text."""

import re
from collections.abc import Container, Iterator
from typing import Final

from agentgather.wire.text import MENTION

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_TICKS: Final = re.compile(r"`+")


def parse_mentions(text: str, roster: Container[str]) -> tuple[str, ...]:
    """Give the aliases of ``roster`` that the text names, each once, in order."""
    if "@" not in text:
        return ()
    found: dict[str, None] = {}
    for part in _outside_code(text):
        for match in MENTION.finditer(part):
            if match[1] in roster:
                found[match[1]] = None
    return tuple(found)


def _outside_code(text: str) -> Iterator[str]:
    if "`" not in text and "~~~" not in text:
        yield text
        return
    paragraph: list[str] = []
    fence = ""
    for line in text.split("\n"):
        opening = _FENCE.match(line)
        if fence:
            # A fence ends with at least as many of its own character, and nothing else.
            if opening and opening[1].startswith(fence) and not line.strip(" \t\r" + fence[0]):
                fence = ""
            continue
        if opening and not (opening[1][0] == "`" and "`" in line[opening.end() :]):
            yield from _outside_spans("\n".join(paragraph))
            paragraph.clear()
            fence = opening[1]
        elif not line.strip():
            yield from _outside_spans("\n".join(paragraph))
            paragraph.clear()
        else:
            paragraph.append(line)
    yield from _outside_spans("\n".join(paragraph))


def _outside_spans(paragraph: str) -> Iterator[str]:
    """Leave out code spans: a run of backticks up to the next run of the same length."""
    runs = list(_TICKS.finditer(paragraph))
    # Where the next run of each length starts, seen from the end of the paragraph.
    closing: list[int | None] = [None] * len(runs)
    latest: dict[int, int] = {}
    for index in range(len(runs) - 1, -1, -1):
        length = len(runs[index][0])
        closing[index] = latest.get(length)
        latest[length] = index
    start = 0
    index = 0
    while index < len(runs):
        end = closing[index]
        if end is None:
            index += 1
            continue
        yield paragraph[start : runs[index].start()]
        start = runs[end].end()
        index = end + 1
    yield paragraph[start:]
