"""Who a text names as ``@alias``, outside of code. Linear in the text."""

import re
from collections.abc import Container, Iterator
from typing import Final

from agentgather.wire.text import MENTION

# The first group is what begins an item of a list, where the fence is on the same line.
_FENCE: Final = re.compile(r"( *(?:(?:[-*+]|[0-9]{1,9}[.)]) {1,4})+)? {0,3}(`{3,}|~{3,})")
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
    within = 0
    for line in text.split("\n"):
        if fence:
            indent = len(line) - len(line.lstrip(" "))
            # It ends with at least as many of its own character and nothing else, or with the
            # item of a list that it is in.
            if indent >= within or not line.strip():
                if indent <= within + 3 and _is_end(line, fence):
                    fence = ""
                continue
            fence = ""
        opening = _FENCE.match(line)
        if opening and not (opening[2][0] == "`" and "`" in line[opening.end() :]):
            yield from _outside_spans("\n".join(paragraph))
            paragraph.clear()
            fence, within = opening[2], len(opening[1] or "")
        elif not line.strip():
            yield from _outside_spans("\n".join(paragraph))
            paragraph.clear()
        else:
            paragraph.append(line)
    yield from _outside_spans("\n".join(paragraph))


def _is_end(line: str, fence: str) -> bool:
    text = line.strip(" \t\r")
    return text.startswith(fence) and not text.strip(fence[0])


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
