"""The log in memory: every record as the bytes it has on disk and on the wire.

Records are appended when they are decided and become visible when they are durable;
nobody is shown what a power cut could take back.

A damaged log can hold an id twice or out of order. So a position in it is not an id:
``tops[i]`` is the highest id up to record ``i``. It never falls, and it is what a cursor
is compared with, so that a reader meets every record, whatever its id.
"""

from array import array
from bisect import bisect_left, bisect_right
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

from agentgather.wire.api import splice
from agentgather.wire.limits import MAX_PAGE_BYTES
from agentgather.wire.records import Message, decode_message

FRAME_BYTES: Final = 2048
"""Of ``MAX_PAGE_BYTES``, what is left for an answer's other keys: ``next_cmd`` has a base URL."""


class Page(NamedTuple):
    """Consecutive records, oldest first. ``messages`` is a JSON array of them."""

    messages: Raw
    size: int
    next_since_id: int
    has_more: bool
    mentioned: frozenset[str]


class _Pending(NamedTuple):
    addressed: tuple[str, ...]
    to_all: bool


class _Mentions(msgspec.Struct):
    mentions: tuple[str, ...]


_decode_mentions: Final = msgspec.json.Decoder(_Mentions).decode
_NOTHING: Final = Raw(b"[]")


class Log:
    """One room's records, and who was addressed last in them."""

    def __init__(self) -> None:
        self._entries: list[bytes] = []
        self._tops = array("q")
        self._visible = 0
        self._pending: list[_Pending] = []
        self._addressed: dict[str, int] = {}
        self._to_all = 0
        self._cached: tuple[tuple[int, int], Page] | None = None

    @property
    def next_id(self) -> int:
        """The id of the next record to append."""
        return self._tops[-1] + 1 if self._tops else 1

    @property
    def head(self) -> int:
        """The highest id that is visible; 0 in an empty log."""
        return self._tops[self._visible - 1] if self._visible else 0

    @property
    def visible_count(self) -> int:
        """How many records are visible."""
        return self._visible

    @property
    def is_settled(self) -> bool:
        """Whether all that was appended is visible."""
        return not self._pending

    def append(
        self, message_id: int, entry: bytes, *, addressed: tuple[str, ...], to_all: bool
    ) -> None:
        """Put a record at the end, not yet visible.

        ``addressed`` are those whom it concerns by name, ``to_all`` is true where it
        concerns everybody: what a wait ``for=me`` wakes for.
        """
        self._entries.append(entry)
        self._tops.append(max(message_id, self._tops[-1] if self._tops else 0))
        self._pending.append(_Pending(addressed, to_all))

    def publish(self, count: int) -> tuple[set[str], bool]:
        """Make the oldest ``count`` staged records visible.

        Returns whom they address, and whether any of them concerns everybody.
        """
        aliases: set[str] = set()
        everybody = False
        for pending in self._pending[:count]:
            top = self._tops[self._visible]
            self._visible += 1
            for alias in pending.addressed:
                self._addressed[alias] = top
                aliases.add(alias)
            if pending.to_all:
                self._to_all = top
                everybody = True
        del self._pending[:count]
        return aliases, everybody

    def retract(self) -> bytes:
        """Take back the newest record, which could not be stored, and give its bytes."""
        assert self._pending, "what is visible is durable"
        self._pending.pop()
        self._tops.pop()
        return self._entries.pop()

    def concerns(self, alias: str, since_id: int) -> bool:
        """Say whether a visible record past ``since_id`` addresses ``alias`` or everybody."""
        return self._addressed.get(alias, 0) > since_id or self._to_all > since_id

    def find(self, message_id: int) -> Message | None:
        """Give a record by its id, staged or visible; None where there is none."""
        # Among equal ids the first; an out-of-order id is found only by reading past it.
        index = bisect_left(self._tops, message_id)
        if index == len(self._tops):
            return None
        message = decode_message(self._entries[index])
        return message if message.id == message_id else None

    def entry(self, message_id: int) -> bytes:
        """Give the bytes of a record that :meth:`find` finds."""
        return self._entries[bisect_left(self._tops, message_id)]

    def entries(self, start: int, end: int) -> list[bytes]:
        """Give the bytes of visible records by their place in the log, from 0."""
        return self._entries[start : min(end, self._visible)]

    def page_after(self, since_id: int, limit: int) -> Page:
        """Give the records past a cursor: at most ``limit``, and what fits in 256 KiB, but one.

        A cursor past the log's end is set back to it.
        """
        start = bisect_right(self._tops, since_id, 0, self._visible)
        end = self._end_of_page(start, limit)
        if start == end:
            return Page(_NOTHING, 0, min(since_id, self.head), False, frozenset())
        key = (start, end)
        if self._cached is None or self._cached[0] != key:
            self._cached = (key, self._page(start, end))
        page = self._cached[1]
        has_more = end < self._visible
        return page if page.has_more == has_more else page._replace(has_more=has_more)

    def records_after(self, since_id: int, limit: int) -> list[tuple[int, bytes]]:
        """Give the records of :meth:`page_after` one by one, each with its cursor."""
        start = bisect_right(self._tops, since_id, 0, self._visible)
        end = self._end_of_page(start, limit)
        return list(zip(self._tops[start:end], self._entries[start:end], strict=True))

    def page_before(self, before_id: int, limit: int) -> tuple[Raw, bool]:
        """Give the last records below an id, oldest first, and whether there are earlier ones."""
        records, has_more = self.records_before(before_id, limit)
        return splice(entry for _, entry in records), has_more

    def records_before(self, before_id: int, limit: int) -> tuple[list[tuple[int, bytes]], bool]:
        """Give the records of :meth:`page_before` one by one, each with its cursor."""
        end = bisect_left(self._tops, before_id, 0, self._visible)
        start = end
        size = FRAME_BYTES
        while start > 0 and end - start < limit:
            size += len(self._entries[start - 1]) + len(",")
            if size > MAX_PAGE_BYTES and start < end:
                break
            start -= 1
        # The next page ends before the id of this one's first record, so that must be its top.
        while 0 < start < end and self._tops[start - 1] == self._tops[start]:
            start -= 1
        return list(zip(self._tops[start:end], self._entries[start:end], strict=True)), start > 0

    def _end_of_page(self, start: int, limit: int) -> int:
        end = start
        size = FRAME_BYTES
        while end < self._visible and end - start < limit:
            size += len(self._entries[end]) + len(",")
            if size > MAX_PAGE_BYTES and end > start:
                break
            end += 1
        # The next page starts behind a cursor, so records that share one stay together.
        while start < end < self._visible and self._tops[end] == self._tops[end - 1]:
            end += 1
        return end

    def _page(self, start: int, end: int) -> Page:
        entries = self._entries[start:end]
        naming = (entry for entry in entries if b'"mentions":[]' not in entry)
        mentioned = frozenset(alias for one in naming for alias in _decode_mentions(one).mentions)
        has_more = end < self._visible
        return Page(splice(entries), end - start, self._tops[end - 1], has_more, mentioned)
