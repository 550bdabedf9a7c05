"""Read a log's bytes, record by record, whatever happened to them.

A block of sound lines costs two calls into C. Only a block in which something is odd is
read line by line.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from agentgather.wire.limits import MAX_LOG_LINE_BYTES
from agentgather.wire.records import (
    Message,
    decode_message,
    decode_messages,
    encode_message,
    encode_messages,
)

MAX_BAD_LINES: Final = 1_000
"""Bad lines that are told apart; further ones are counted."""
_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)
_MAX_RANGES: Final = 1_000
_MAX_ID: Final = 2**52
# How every record begins, and what no text in one can hold: its quotes are escaped.
_BEGINNING: Final = re.compile(rb'(?=\{"id":)')
_SURROGATES: Final = re.compile("[\ud800-\udfff]")

OnRecord = Callable[[Message, bytes], None]
"""Takes one record and its bytes as they go over the wire, in the log's order."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no record. ``number`` counts from 1; ``offset`` is in bytes."""

    number: int
    offset: int
    reason: str


class LogScan:
    """The state of one reading. Feed it whole lines; memory does not grow with the log."""

    def __init__(self, room: str, on_record: OnRecord) -> None:
        self.records = 0
        self.lines = 0
        self.offset = 0
        self.blank = 0
        self.bad: list[BadLine] = []
        self.bad_count = 0
        self.duplicates = 0
        self.out_of_order = 0
        self.foreign = 0
        self.last_id = 0
        self.gaps = 0
        # Ids that were jumped over and that nobody had since.
        self._missing: list[range] = []
        self._room = room
        self._on_record = on_record

    def feed(self, block: bytes) -> None:
        """Take some lines, each with its line end."""
        try:
            messages = decode_messages(block)
            sound = encode_messages(messages) == block
        except _BROKEN:
            sound = False
        if sound and len(block) <= MAX_LOG_LINE_BYTES:
            # Equal bytes prove that each record has a line of its own, in our form.
            for message, line in zip(messages, block.split(b"\n"), strict=False):
                self._take(message, line)
            self.lines += len(messages)
            self.offset += len(block)
        else:
            for line in block.split(b"\n")[:-1]:
                self._read_line(line)

    def skip(self, size_bytes: int, *, ends_line: bool) -> None:
        """Go past bytes of a line that is too long to look at."""
        self.offset += size_bytes
        if ends_line:
            self.lines += 1
            self._note(self.offset - size_bytes, f"longer than {MAX_LOG_LINE_BYTES} bytes")

    def _read_line(self, line: bytes) -> None:
        offset = self.offset
        self.lines += 1
        self.offset += len(line) + 1
        if not line.strip():
            self.blank += 1
        elif len(line) > MAX_LOG_LINE_BYTES:
            self._note(offset, f"longer than {MAX_LOG_LINE_BYTES} bytes")
        else:
            try:
                message, encoded = _read_record(line)
            except _BROKEN as error:
                self._note(offset, _reason(error))
                # A lost line end, or a torn line that somebody wrote on behind, leaves
                # sound records in a line that is none.
                for piece in _BEGINNING.split(line):
                    self._salvage(piece)
            else:
                self._take(message, encoded)

    def _salvage(self, piece: bytes) -> None:
        try:
            message, encoded = _read_record(piece)
        except _BROKEN:
            return
        self._take(message, encoded)

    def _take(self, message: Message, encoded: bytes) -> None:
        if message.id != self.last_id + 1 or message.room != self._room:
            if message.id > _MAX_ID:
                # Ids go up from the highest, and would soon be more than readers can hold.
                self._note(self.offset, "an id above 2^52")
                return
            self._note_odd(message)
        if message.id > self.last_id:
            self.last_id = message.id
        self.records += 1
        self._on_record(message, encoded)

    def _note_odd(self, message: Message) -> None:
        if message.room != self._room:
            self.foreign += 1
        if message.id > self.last_id + 1:
            self.gaps += 1
            if len(self._missing) < _MAX_RANGES:
                self._missing.append(range(self.last_id + 1, message.id))
        elif message.id <= self.last_id:
            for index, ids in enumerate(self._missing):
                if message.id in ids:
                    halves = range(ids.start, message.id), range(message.id + 1, ids.stop)
                    self._missing[index : index + 1] = [half for half in halves if half]
                    self.out_of_order += 1
                    return
            self.duplicates += 1

    def _note(self, offset: int, reason: str) -> None:
        self.bad_count += 1
        if len(self.bad) < MAX_BAD_LINES:
            self.bad.append(BadLine(self.lines, offset, reason))


def _read_record(line: bytes) -> tuple[Message, bytes]:
    """Give one line's record and its bytes, also where half a surrogate pair was stored.

    Raises:
        ValueError, RecursionError: it is not a message.

    """
    try:
        message = decode_message(line)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        # JavaScript's strings may hold such a half, and its JSON a way to write it.
        if rb"\ud" not in line.lower():
            raise
        plain = json.loads(line)
        if isinstance(plain, dict) and isinstance(plain.get("text"), str):
            plain["text"] = _SURROGATES.sub("\ufffd", plain["text"])
        message = msgspec.convert(plain, Message)
    return message, encode_message(message)


def _reason(error: Exception) -> str:
    # Never the error's own text, which may quote the line.
    match error:
        case msgspec.ValidationError():
            return "a key is missing or has the wrong type"
        case UnicodeDecodeError():
            return "not UTF-8"
        case RecursionError():
            return "nested too deeply"
        case _:
            return "not JSON"
