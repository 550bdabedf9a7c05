"""What people see: text made safe to print, tables, times, a little colour."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from agentgather.domain.text import HIDDEN, parse_time

_STYLES = {"bold": "1", "faint": "2", "red": "31", "green": "32", "yellow": "33"}


def visible(text: str) -> str:
    """Make characters that act on a terminal, or that nobody sees, visible.

    Line ends and tabs stay; the caller gives each line its own prefix.
    """
    return HIDDEN.sub(_spelled, text.replace("\r\n", "\n")).replace("\r", "\\r")


def _spelled(match: Any) -> str:
    code = ord(match[0])
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\u{{{code:x}}}"


def one_line(text: str) -> str:
    """Make a text visible and keep it on one line."""
    return visible(text).replace("\n", "\\n").replace("\t", " ")


def message_lines(message: Mapping[str, Any]) -> str:
    """Give ``<id> <ts> <from>: <text>``, with the same prefix before each line of the text.

    So no text can look like the line of another message.
    """
    prefix = f"{message['id']} {message['ts']} {one_line(message['from'])}: "
    lines = visible(message["text"]).split("\n")
    return "\n".join(prefix + line for line in lines)


def table(rows: Iterable[Sequence[str]]) -> str:
    """Align columns; the last one is left as long as it is."""
    rows = [tuple(row) for row in rows]
    if not rows:
        return ""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def ago(age_ms: int) -> str:
    """Give an age as people say it."""
    seconds = age_ms // 1000
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return "never" if seconds > 100 * 365 * 86_400 else f"{seconds // length} {unit} ago"
    return "now" if seconds < 5 else f"{seconds} s ago"


def until(time_text: str, now_ms: int) -> str:
    """Give the time that is left until a moment, as people say it."""
    when = parse_time(time_text)
    if when is None:
        return time_text
    return "over" if when <= now_ms else f"in {ago(when - now_ms).removesuffix(' ago')}"


def roster_table(status: Mapping[str, Any], stream: TextIO) -> str:
    """Give who is in the room, one line each."""
    rows = [("ALIAS", "NAME", "KIND", "ATTENDANCE", "SEEN")]
    for one in status["participants"]:
        if one.get("removed_at"):
            continue
        marks = [one["kind"]]
        if one["is_host"]:
            marks.append("host")
        if one.get("role"):
            marks.append(one["role"])
        alias = one["alias"] + (" (you)" if one["alias"] == status["me"] else "")
        name = one_line(one.get("display_name") or "")
        attendance = one["attendance_state"].replace("_", " ")
        rows.append((alias, name, ", ".join(marks), attendance, ago(one["last_seen_age_ms"])))
    text = table(rows)
    if not has_colour(stream):
        return text
    lines = text.split("\n")
    return "\n".join([styled(lines[0], "faint", stream), *lines[1:]])


def has_colour(stream: TextIO) -> bool:
    """Say whether colour helps: only on a terminal, and not against NO_COLOR."""
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def styled(text: str, style: str, stream: TextIO) -> str:
    """Give the text in a style, if the stream shows any."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if has_colour(stream) else text
