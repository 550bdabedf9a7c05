"""A terminal without a process: a context of strings, and a room that answers from a list."""

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agentgather.cli.context import Context, open_api
from agentgather.cli.http_client import Reply
from agentgather.cli.program import run_command
from agentgather.cli.request import Request
from agentgather.cli.room_api import RoomApi
from agentgather.storage.home import Home
from agentgather.storage.seats import write_seat
from agentgather.wire.records import CurrentRoom

TOKEN = "agp_" + "t" * 43
NOW_MS = 1_800_000_000_000


class Result(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The lines of standard output, each as JSON."""
        return [msgspec.json.decode(line) for line in self.out.splitlines()]


@dataclass
class Terminal:
    """Runs commands in a home. ``room`` answers them; None: the real transports do."""

    root: Path
    room: "FakeRoom | None" = None
    environ: Mapping[str, str] = field(default_factory=dict)
    slept: list[float] = field(default_factory=list)
    insecure: bool = False
    minted: int = 0

    @property
    def home(self) -> Home:
        return Home(self.root)

    def seat(self, **changes: Any) -> CurrentRoom:
        """Take a seat and select it."""
        seat = msgspec.structs.replace(
            CurrentRoom(roomId="demo", alias="host", token=TOKEN, baseUrl="http://127.0.0.1:1"),
            **changes,
        )
        write_seat(self.home, seat, select=True)
        return seat

    def context(self, stdin: bytes = b"", stdout: Any = None) -> Context:
        return Context(
            self.home,
            io.BytesIO(stdin),
            stdout or io.StringIO(),
            io.StringIO(),
            self.environ,
            entropy=self._entropy,
            wall_ms=lambda: NOW_MS,
            monotonic=lambda: sum(self.slept),
            sleep=self.slept.append,
            insecure=self.insecure,
            connect=self._connect,
        )

    def run(self, *arguments: str, stdin: bytes = b"") -> Result:
        context = self.context(stdin)
        status = run_command(list(arguments), context)
        assert isinstance(context.stdout, io.StringIO)
        assert isinstance(context.stderr, io.StringIO)
        return Result(status, context.stdout.getvalue(), context.stderr.getvalue())

    def _entropy(self, count: int) -> bytes:
        """Give zeros at first, and something new each time; a single byte is no secret."""
        if count == 1:
            return b"\0"
        self.minted += 1
        return (self.minted - 1).to_bytes(count, "big")

    def _connect(self, context: Context, seat: CurrentRoom, offline: bool) -> RoomApi:
        if self.room is None:
            return open_api(context, seat, offline)
        return RoomApi(self.room, seat.token)


Answer = Reply | Exception | Callable[[Request], Reply]


class FakeRoom:
    """A transport that gives the next answer of a list, and keeps what it was asked."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self.answers = list(answers)
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Reply:
        self.asked.append(request)
        assert self.answers, f"nobody expected {request.method} {request.target}"
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Reply) else answer(request)

    @property
    def bodies(self) -> list[Any]:
        return [msgspec.json.decode(one.body) for one in self.asked if one.body is not None]


def ok(document: Mapping[str, Any], status: int = 200) -> Reply:
    return Reply(status, msgspec.json.encode({"ok": True, **document}), 0)


def refused(status: int, code: str, message: str = "no", retry_after: int = 0) -> Reply:
    body = {"ok": False, "error": code, "message": message}
    return Reply(status, msgspec.json.encode(body), retry_after)


def message(number: int, text: str, sender: str = "rev", **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "room": "demo",
        "ts": "2027-01-15T08:00:00.000Z",
        "from": sender,
        "type": "message",
        "text": text,
        "mentions": [],
        **more,
    }


def posted(request: Request) -> Reply:
    """Answer a post as the room would, with what was posted."""
    assert request.body is not None
    draft = msgspec.json.decode(request.body)
    text = draft["text"]
    first = text.split(" ")[0]
    mentions = [first[1:]] if first.startswith("@") else []
    return ok({"message": message(7, text, "host", mentions=mentions)}, 201)


def page(*messages: dict[str, Any], since: int = 0, more: bool = False) -> Reply:
    last = messages[-1]["id"] if messages else since
    return ok({"messages": list(messages), "next_since_id": last, "has_more": more})


def waited(*messages: dict[str, Any], since: int, end: str = "", **more: Any) -> Reply:
    """Answer a wait; ``end`` is ``closed`` or ``removed``."""
    document = {
        "room": "demo",
        "room_status": "closed" if end == "closed" else "open",
        "participant": "host",
        "heartbeat": not messages and not end,
        "messages": list(messages),
        "mentioned": False,
        "next_since_id": messages[-1]["id"] if messages else since,
        "keep_waiting": not messages and not end,
        "next_cmd": None if end else "curl …",
        "has_more": False,
        **more,
    }
    if end == "removed":
        document["participant_status"] = "removed"
    return ok(document)
