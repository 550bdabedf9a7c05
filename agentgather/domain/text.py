"""Text as the room counts and shows it: length, blankness, what a reader can't see."""

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from agentgather.wire.text import HIDDEN

_NOT_BMP: Final = re.compile("[\U00010000-\U0010ffff]")
# White space and what has no width, in any mixture.
_BLANK: Final = re.compile("[\\s\x00\u200b\u2060\ufeff]*")


class Moment(NamedTuple):
    """Now, in both clocks: ``monotonic`` seconds for durations, ``wall_ms`` for display."""

    monotonic: float
    wall_ms: int

    def text(self) -> str:
        """Give ``YYYY-MM-DDTHH:MM:SS.mmmZ``."""
        return format_time(self.wall_ms)


def format_time(wall_ms: int) -> str:
    """Give milliseconds since 1970 as ``YYYY-MM-DDTHH:MM:SS.mmmZ``."""
    seconds, milliseconds = divmod(wall_ms, 1000)
    when = datetime.fromtimestamp(seconds, UTC).isoformat()
    return f"{when[:19]}.{milliseconds:03d}Z"


def parse_time(text: str) -> int | None:
    """Give the milliseconds since 1970 of an ISO 8601 time with a zone; None if it is none."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        return None
    return round(when.timestamp() * 1000)


def utf16_units(text: str) -> int:
    """Count UTF-16 code units, which is how JavaScript and the limits count."""
    # isascii() is O(1) and true of most messages.
    return len(text) if text.isascii() else len(text) + len(_NOT_BMP.findall(text))


def is_blank(text: str) -> bool:
    """Say whether there is nothing in the text to read."""
    return _BLANK.fullmatch(text) is not None


def has_hidden(text: str) -> bool:
    """Say whether the text holds characters that a reader cannot see."""
    # isprintable() is a fast pass over most texts, and false for all that HIDDEN holds
    # but the few fillers and selectors beyond ASCII.
    if text.isascii() and text.isprintable():
        return False
    return HIDDEN.search(text) is not None


def visible(text: str) -> str:
    r"""Spell the characters that a reader cannot see, such as ``\u{202e}``.

    Line ends become LF, and a lone CR is spelled too: it would overwrite its line.
    """
    spelled = HIDDEN.sub(lambda match: f"\\u{{{ord(match[0]):x}}}", text.replace("\r\n", "\n"))
    return spelled.replace("\r", "\\r")
