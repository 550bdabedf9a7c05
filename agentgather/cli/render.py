"""What people see: text made safe to print, tables, times, a little colour."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TextIO

import msgspec

from agentgather.domain.text import parse_time
from agentgather.wire.text import HIDDEN

_STYLES: Final = {"bold": "1", "faint": "2", "red": "31", "green": "32", "yellow": "33"}
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")


def visible(text: str) -> str:
    """Make characters that act on a terminal, or that nobody sees, visible.

    Line ends and tabs stay; the caller gives each line its own prefix.
    """
    return HIDDEN.sub(_spelled, text.replace("\r\n", "\n")).replace("\r", "\\r")


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\u{{{code:x}}}"


def json_text(document: object, *, ascii_only: bool) -> str:
    """Give a document as one line of JSON, in which what nobody sees is an escape.

    With ``ascii_only`` everything beyond ASCII is one: the same document either way.
    """
    text = msgspec.json.encode(document).decode()
    # The encoder leaves the line end and other controls below U+0020 as escapes already.
    return (_NOT_ASCII if ascii_only else HIDDEN).sub(_json_escape, text)


def _json_escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


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


def roster_table(status: Mapping[str, Any], *, colour: bool) -> str:
    """Give who is in the room, one line each."""
    rows = [("ALIAS", "KIND", "ATTENDANCE", "LAST SEEN", "NAME")]
    for one in status["participants"]:
        if one.get("removed_at"):
            continue
        marks = [one["kind"]]
        if one["is_host"]:
            marks.append("host")
        if one.get("role"):
            marks.append(one["role"])
        alias = one["alias"] + (" (you)" if one["alias"] == status["me"] else "")
        # Last, because nobody knows how wide a terminal draws it.
        name = one_line(one.get("display_name") or "")
        attendance = one_line(one["attendance_state"]).replace("_", " ")
        seen = ago(one["last_seen_age_ms"])
        rows.append((one_line(alias), ", ".join(marks), attendance, seen, name))
    head, *rest = table(rows).split("\n")
    return "\n".join([styled(head, "faint", colour=colour), *rest])


def has_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Say whether colour helps: only on a terminal, and not against NO_COLOR."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def styled(text: str, style: str, *, colour: bool) -> str:
    """Give the text in a style, if the reader sees any."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if colour else text
