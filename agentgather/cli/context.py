"""What every command is given: the home, the streams, the clock, and the room."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from agentgather.cli.base_url import BaseUrl
from agentgather.cli.failures import Misused, OutputClosed, Refused
from agentgather.cli.render import has_colour, json_text, one_line, styled
from agentgather.cli.room_api import RoomApi
from agentgather.cli.seat_keys import INSECURE, public_urls
from agentgather.cli.transports import HostedTransport, HttpTransport, Transport
from agentgather.domain.text import format_time
from agentgather.storage.home import Home
from agentgather.wire.records import CurrentRoom

DEFAULT_BASE_URL: Final = "http://127.0.0.1:8787"


@dataclass
class Context:
    """Everything that a command touches; a test gives its own."""

    home: Home
    stdin: BinaryIO
    stdout: TextIO
    stderr: TextIO
    environ: Mapping[str, str] = field(default_factory=dict)
    entropy: Callable[[int], bytes] = os.urandom
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    insecure: bool = False
    as_json: bool = False
    connect: Callable[["Context", CurrentRoom, bool], RoomApi] = lambda *given: open_api(*given)

    @classmethod
    def of_process(cls) -> "Context":
        """Give the context of this process.

        Raises:
            Misused: there is no place for a home, or it is a relative path.

        """
        chosen = os.environ.get("AGENTGATHER_HOME")
        if chosen and not Path(chosen).is_absolute():
            # Another directory would be another home, without a word.
            raise Misused("AGENTGATHER_HOME must be an absolute path, one that begins with /")
        try:
            root = Path(chosen) if chosen else Path.home() / ".agentgather"
        except RuntimeError:
            raise Misused("there is no home directory; set AGENTGATHER_HOME") from None
        return cls(Home(root), sys.stdin.buffer, sys.stdout, sys.stderr, os.environ)

    def now_text(self) -> str:
        """Give now as records have it."""
        return format_time(self.wall_ms())

    def new_key(self) -> str:
        """Make a key under which a post can be repeated safely."""
        return "cli-" + self.entropy(12).hex()

    # --- The seat -------------------------------------------------------------------
    def check_home(self) -> None:
        """Refuse a home that others may have written to; one that is not there is fine.

        Raises:
            UnsafeFile: the text says why.

        """
        if os.path.lexists(self.home.root):
            self.home.prepare()

    def seat(self) -> CurrentRoom:
        """Give the seat that commands speak for.

        Raises:
            Refused: there is none.

        """
        self.check_home()
        current = self.home.read_current()
        if current is None:
            raise Refused(
                "no room is selected; make one with `agentgather up NAME` or "
                "`agentgather room start NAME`, take a seat with `agentgather room join`, or "
                "select one with `agentgather room use NAME`"
            )
        return current

    @property
    def api(self) -> RoomApi:
        """The room of the current seat, through its server or, if none runs, its files."""
        return self.api_of(self.seat())

    def api_of(self, seat: CurrentRoom, *, offline: bool = True) -> RoomApi:
        """Give the room of a seat. Without ``offline`` only a server is asked."""
        return self.connect(self, seat, offline)

    # --- Output ---------------------------------------------------------------------
    def emit(self, document: object, text: str) -> None:
        """Print a result: JSON where it was asked for, else text for people."""
        if self.as_json:
            self.write_json(document)
        else:
            self.write(text)
        self.flush()

    def write_json(self, document: object) -> None:
        """Print one line of JSON."""
        self._write(json_text(document, ascii_only=not _is_utf8(self.stdout)))

    def write(self, text: str) -> None:
        """Print a text and a line end. What the stream cannot show, it gets as an escape."""
        self._write(_fit(text, self.stdout))

    def styled(self, text: str, style: str) -> str:
        """Give a text for standard output in a style, if the reader sees any."""
        return styled(text, style, colour=self.has_colour)

    @property
    def has_colour(self) -> bool:
        """Whether standard output shows colour."""
        return has_colour(self.stdout, self.environ)

    def flush(self) -> None:
        """Have what was printed leave this process.

        Raises:
            OutputClosed: nobody reads it.
            OSError: it could not; nobody may call it delivered.

        """
        try:
            self.stdout.flush()
        except BrokenPipeError:
            raise OutputClosed from None

    def say(self, line: str) -> None:
        """Tell the person something that is not the result."""
        # Who closed the error stream wants to hear nothing.
        with suppress(OSError):
            self.stderr.write(_fit(f"agentgather: {one_line(line)}", self.stderr) + "\n")
            self.stderr.flush()

    def _write(self, line: str) -> None:
        try:
            self.stdout.write(line + "\n")
        except BrokenPipeError:
            raise OutputClosed from None


def open_api(context: Context, seat: CurrentRoom, offline: bool) -> RoomApi:
    """Give the room of a seat over HTTP, or through its files where they are in this home.

    Raises:
        Misused: a token may not be sent to the seat's URL, or is none.

    """
    if not (seat.token.isascii() and seat.token.isprintable()):
        raise Misused(f"the token of the seat in {seat.roomId} is damaged; join the room again")
    insecure = context.insecure or seat.extra.get(INSECURE) is True
    base = BaseUrl(seat.baseUrl, insecure=insecure)
    transport: Transport = HttpTransport(base)
    if offline and context.home.has_room(seat.roomId):
        transport = HostedTransport(
            context.home,
            seat.roomId,
            base,
            public_urls=public_urls(context.home, seat),
            warn=lambda text: context.say(f"warning: {text}"),
            sleep=context.sleep,
        )
    return RoomApi(transport, seat.token)


def _is_utf8(stream: TextIO) -> bool:
    # A StringIO has no encoding and takes everything.
    return (stream.encoding or "utf-8").lower().replace("-", "") == "utf8"


def _fit(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
