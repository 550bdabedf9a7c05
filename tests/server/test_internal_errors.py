"""A bug in one handler ends that request and no other, and says nothing about itself."""

from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.table import Table

pytestmark = VIRTUAL_TIME

CONSTANT = (
    b'{"ok":false,"error":"internal_error",'
    b'"message":"A bug on our side. The text never says more."}\n'
)
BUGS: dict[str, Callable[[], Exception]] = {
    "any": lambda: RuntimeError("/home/secret/path agp_secret"),
    "a group": lambda: ExceptionGroup("secret", [ValueError("secret")]),
    "recursion": lambda: RecursionError("secret"),
    "an assertion": lambda: AssertionError("secret"),
    "memory": lambda: MemoryError("secret"),
    "an iteration": lambda: StopIteration("secret"),
    "decoding": lambda: UnicodeDecodeError("utf-8", b"secret", 0, 1, "secret"),
}


class Broken:
    """Stands in front of an object; one attribute of it raises."""

    def __init__(self, behind: object, name: str, bug: Callable[[], Exception]) -> None:
        self._behind = behind
        self._name = name
        self._bug = bug

    def __getattr__(self, name: str) -> Any:
        if name == self._name:
            return self._fail
        return getattr(self._behind, name)

    def _fail(self, *_: object, **__: object) -> NoReturn:
        raise self._bug()


# What is asked, and what breaks while it is answered.
REQUESTS = [
    ("GET", "/messages", "log.page_after"),
    ("POST", "/messages", "decide_post"),
    ("GET", "/wait?hold=0", "log.page_after"),
    ("GET", "/brief", "public_brief"),
    ("POST", "/brief", "decide_brief"),
    ("GET", "/status", "expires_ms"),
    ("POST", "/participants/eve/rotate", "roster.decide_rotate"),
]


CASES = [
    *((*request, "any") for request in REQUESTS),
    *((*request, bug) for request in REQUESTS[:1] + REQUESTS[3:4] for bug in BUGS),
]


@pytest.mark.hostile("K11")
@pytest.mark.parametrize(("method", "target", "what", "kind"), CASES)
async def test_an_exception_in_a_handler_is_answered_with_constant_text(
    table: Table,
    caplog: pytest.LogCaptureFixture,
    method: str,
    target: str,
    what: str,
    kind: str,
) -> None:
    bug = BUGS[kind]
    live = table.live
    whole = live.room
    async with table.rev.open("GET", "/wait") as held, table.bo.events("/events") as stream:
        await table.settled()
        await stream.until("status")
        owner, _, name = what.rpartition(".")
        if name == "expires_ms":
            presence = live.presence
            live.presence = Broken(presence, "public", bug)  # type: ignore[assignment]
        elif owner:
            setattr(whole, owner, Broken(getattr(whole, owner), name, bug))
        else:
            live.room = Broken(whole, name, bug)  # type: ignore[assignment]
        body = b'{"text":"x","body":"x"}' if method == "POST" else b""
        reply = await table.host.ask(method, target, body=body)
        assert (reply.status, reply.body) == (500, CONSTANT)
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert any(record.exc_info for record in caplog.records), "a bug leaves a trace in the log"
        # And then it works again.
        if name == "expires_ms":
            live.presence = presence
        elif owner:
            setattr(whole, owner, getattr(whole, owner)._behind)
        live.room = whole
        assert held.start is None
        assert (await table.host.ask(method, target, body=body)).status < 300
        await table.ada.say("everybody else lives")
        await table.settled()
        assert held.reply().status == 200
        while (await stream.news()).data["text"] != "everybody else lives":
            pass


@pytest.mark.hostile("K11")
async def test_a_bug_in_the_middle_of_a_stream_ends_the_stream_alone(
    table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    live = table.live
    async with table.rev.open("GET", "/events") as exchange, table.bo.events("/events") as other:
        await table.settled()
        await other.until("status")
        whole = live.room.log
        live.room.log = Broken(whole, "records_after", BUGS["any"])  # type: ignore[assignment]
        live.hub.kick("rev")
        await table.settled()
        live.room.log = whole
        assert b"secret" not in b"".join(exchange.chunks)
        assert any(record.exc_info for record in caplog.records)
        await table.ada.say("hi")
        assert (await other.news()).data["text"] == "hi"
