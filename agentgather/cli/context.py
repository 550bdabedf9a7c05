"""What every command is given: the home, the streams, the clock, and the room."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TextIO

from agentgather.cli.failures import Misused, Refused
from agentgather.cli.room_api import RoomApi, open_api
from agentgather.domain.text import format_time
from agentgather.storage.home import Home
from agentgather.wire.limits import MAX_BODY_BYTES
from agentgather.wire.records import CurrentRoom

DEFAULT_BASE_URL = "http://127.0.0.1:8787"


@dataclass
class Context:
    """Everything that a command touches; a test gives its own."""

    home: Home
    stdin: BinaryIO
    stdout: TextIO
    stderr: TextIO
    environ: Mapping[str, str]
    entropy: Callable[[int], bytes] = os.urandom
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    sleep: Callable[[float], None] = time.sleep
    insecure: bool = False
    as_json: bool = False
    _api: RoomApi | None = field(default=None, repr=False)

    @classmethod
    def of_process(cls) -> "Context":
        """Give the context of this process."""
        chosen = os.environ.get("AGENTGATHER_HOME")
        if chosen is not None and not Path(chosen).is_absolute():
            raise Misused(f"AGENTGATHER_HOME must be an absolute path, and is {chosen!r}")
        root = Path(chosen) if chosen else Path.home() / ".agentgather"
        return cls(Home(root), sys.stdin.buffer, sys.stdout, sys.stderr, os.environ)

    def now_text(self) -> str:
        """Give now as records have it."""
        return format_time(self.wall_ms())

    def new_key(self) -> str:
        """Make a key under which a post can be repeated safely."""
        return "cli-" + self.entropy(12).hex()

    # --- The seat -------------------------------------------------------------------
    def seat(self) -> CurrentRoom:
        """Give the seat that commands speak for.

        Raises:
            Refused: there is none.

        """
        current = self.home.read_current()
        if current is None:
            raise Refused(
                "no room is selected; make one with `agentgather room start NAME`, or take a "
                "seat with `agentgather room join`"
            )
        return current

    @property
    def api(self) -> RoomApi:
        """The room of the current seat, through its server or, if none runs, its files."""
        if self._api is None:
            self._api = open_api(self.home, self.seat(), insecure=self.insecure)
        return self._api

    # --- Output ---------------------------------------------------------------------
    def emit(self, document: object, text: str) -> None:
        """Print a result: JSON where it was asked for, else text for people."""
        self.write(json.dumps(document, ensure_ascii=False) if self.as_json else text)

    def write(self, line: str) -> None:
        """Print one line to standard output, and have it leave this process.

        A terminal or pipe that cannot show a character gets its escape.
        """
        encoding = self.stdout.encoding or "utf-8"
        if self.as_json and encoding.lower().replace("-", "") != "utf8":
            line = json.dumps(json.loads(line))
        safe = line.encode(encoding, "backslashreplace").decode(encoding)
        self.stdout.write(safe + "\n")
        self.stdout.flush()

    def say(self, line: str) -> None:
        """Tell the person something that is not the result."""
        encoding = self.stderr.encoding or "utf-8"
        self.stderr.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        self.stderr.flush()

    # --- Input ----------------------------------------------------------------------
    def read_stdin(self) -> str:
        """Read text from standard input.

        Raises:
            Misused: it is too long for any message, or not UTF-8.

        """
        data = self.stdin.read(MAX_BODY_BYTES + 1)
        if len(data) > MAX_BODY_BYTES:
            raise Misused("standard input is over 64 KiB, more than any text may have")
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise Misused("standard input is not UTF-8") from None

    def text_of(self, words: tuple[str, ...], text: str | None = None) -> str:
        """Give a text from words, from an option, or from standard input where it is ``-``.

        Raises:
            Misused: there is none, or two of them.

        """
        if text is not None and words:
            raise Misused("give the text as words or with an option, not both")
        joined = text if text is not None else " ".join(words)
        if joined == "-":
            joined = self.read_stdin().rstrip("\n")
        if not joined.strip():
            raise Misused("the text is empty")
        if any("\ud800" <= c <= "\udfff" for c in joined):
            raise Misused("the text is not UTF-8")
        return joined

    def text_or_file(self, text: str | None, path: str | None, what: str) -> str | None:
        """Give a text from an option or from the file of another one.

        Raises:
            Misused: both are given, or the file is not text.

        """
        if text is not None and path is not None:
            raise Misused(f"give the {what} as text or as a file, not both")
        if path is None:
            return self.read_stdin() if text == "-" else text
        if path == "-":
            return self.read_stdin()
        try:
            return Path(path).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Misused(f"cannot read the {what} from {path}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return error.strerror or "unreadable" if isinstance(error, OSError) else "it is not UTF-8"
