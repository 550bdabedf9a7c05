"""The program is killed at every step that has to do with the disk: a real SIGKILL each time."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio

from agentgather.storage.home import Home
from agentgather.storage.owned_room import open_room
from agentgather.storage.stored_room import StoredRoom
from agentgather.wire.records import Tokens
from tests.doubles.history import History
from tests.doubles.raw_http import eventually
from tests.doubles.table import TOKENS
from tests.durability.zygote import Zygote
from tests.end_to_end.public.oracle import Broken, Client
from tests.storage.samples import NOW, Records

KILLED = -signal.SIGKILL


Answers = dict[str, dict[str, Any]]


class Stored(NamedTuple):
    """What a room's folder says."""

    room: StoredRoom
    tokens: Tokens
    texts: list[str]

    def seat(self, alias: str) -> Any:
        return next((one for one in self.room.participants if one.alias == alias), None)


class Action(NamedTuple):
    """A request that changes something, and whether a room has the change.

    ``is_done`` is also given the answers to the actions before, by their paths.
    """

    alias: str
    path: str
    body: dict[str, Any]
    is_done: Callable[[Stored, Answers], bool]

    @property
    def key(self) -> str | None:
        key: str | None = self.body.get("client_msg_id")
        return key


LONG = "one " * 300
ACTIONS = [
    Action("ada", "/join", {}, lambda now, _: bool(now.seat("ada").joinedAt)),
    Action(
        "ada", "/messages", {"text": LONG, "client_msg_id": "one"}, lambda now, _: LONG in now.texts
    ),
    Action("host", "/brief", {"body": "New."}, lambda now, _: now.room.brief == "New."),
    Action(
        "host",
        "/attendance",
        {"policy": "all-foreground"},
        lambda now, _: now.room.state.attendance_policy == "all-foreground",
    ),
    Action(
        "host",
        "/participants",
        {"alias": "new", "kind": "agent"},
        lambda now, _: now.seat("new") is not None and "new" in now.tokens.tokens,
    ),
    Action(
        "host",
        "/participants/bo/remove",
        {},
        lambda now, _: now.seat("bo").removed_at is not None,
    ),
    Action(
        "host",
        "/participants/new/rotate",
        {},
        lambda now, before: now.tokens.tokens["new"] != before["/participants"]["token"],
    ),
    Action(
        "ada", "/profile", {"display_name": "A"}, lambda now, _: now.seat("ada").display_name == "A"
    ),
    Action(
        "ada",
        "/messages",
        {"text": "two", "client_msg_id": "two"},
        lambda now, _: "two" in now.texts,
    ),
    Action("host", "/close", {}, lambda now, _: now.room.state.status == "closed"),
]


# --- A served room ---------------------------------------------------------------------
TORN = "an unfinished last line was set aside"
SERVE = ("room", "serve", "--port", "0", "--json")


class Visit:
    """What those around a room did before it died."""

    def __init__(self) -> None:
        self.history = History()
        self.answers: Answers = {}
        self.done = 0
        """How many actions were acknowledged; the next one may have begun."""

    async def act(self, port: int) -> None:
        for action in ACTIONS:
            asked_at = self.history.now()
            client = Client(port, "", TOKENS[action.alias])
            try:
                reply = await client.ask("POST", action.path, action.body)
            except Broken:
                return
            finally:
                await client.close()
            assert reply.status in (200, 201), (action, reply)
            self.answers[action.path] = reply.document
            self.done += 1
            if action.key is not None:
                number = reply.document["message"]["id"]
                self.history.acknowledged(action.key, action.body["text"], number, asked_at)

    async def read(self, port: int) -> None:
        client = Client(port, "", TOKENS["rev"])
        since_id = 0
        with suppress(Broken):
            while True:
                asked_at = self.history.now()
                reply = await client.ask("GET", f"/wait?since_id={since_id}")
                self.history.answered("rev", since_id, reply.document, asked_at)
                since_id = reply.document["next_since_id"]
                if reply.document["next_cmd"] is None:
                    break
        await client.close()


async def visit(zygote: Zygote, home: Home, place: str | None) -> tuple[Visit, int]:
    """Serve a room, act in it, and end it unless it dies; gives its status too."""
    visit = Visit()
    process = await zygote.start(home, *SERVE, place=place)
    ended: list[int] = []

    async def await_end() -> None:
        ended.append(await zygote.ended())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(await_end)
        await eventually(lambda: ended or zygote.port())
        port = zygote.port()
        if port is not None:
            nursery.start_soon(visit.read, port)
            await visit.act(port)
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
    return visit, ended[0]


def faults_of(home: Home, visit: Visit) -> list[str]:
    """Open a room that died, and hold it to what was acknowledged and seen."""
    records = Records()
    with open_room(home, "demo", records, NOW) as opened:
        log = [json.loads(line) for line in records.lines]
        tokens = home.read_tokens("demo")
        now = Stored(opened.stored, tokens, [message["text"] for message in log])
        found = [f"{fault}" for fault in visit.history.faults(log, to_the_end=False)]
        found += (one for one in opened.warnings if TORN not in one)
    for number, action in enumerate(ACTIONS):
        if number != visit.done:
            is_done = number < visit.done
            if is_done and not action.is_done(now, visit.answers):
                found.append(f"{action.path} was acknowledged, and is undone")
            # Before there is a seat its token cannot have changed.
            is_possible = "rotate" not in action.path
            if not is_done and is_possible and action.is_done(now, visit.answers):
                found.append(f"{action.path} was not even asked for")
    folder = home.room_path("demo")
    found += [f"left behind: {path.name}" for path in folder.rglob("*.tmp-*")]
    current = home.read_current()
    if current is None or current.token != TOKENS["host"]:
        found.append(f"the host's seat is {current}")
    return found


def copy_of(home: Home, folder: Path) -> Home:
    return Home(shutil.copytree(home.root, folder / "home"))


OF_BATCHES = ("messages.jsonl", "announcement", "answer")


def is_worth_it(place: str) -> bool:
    """Take each place once, and those of the log and of the answers every time."""
    what, _, time = place.rpartition(", ")
    return time == "1" or what.endswith(OF_BATCHES)


def may_not_come(place: str) -> bool:
    """Say whether it is of one more batch of the log than there are changes.

    A change has two where its lines are parted, which is a matter of moments.
    """
    what, _, time = place.rpartition(", ")
    return what.endswith(OF_BATCHES) and int(time) > len(ACTIONS)


PARTS = 8


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
async def test_a_room_that_is_killed_at_any_step_keeps_what_it_acknowledged(
    zygote: Zygote, pristine: Home, tmp_path: Path, part: int
) -> None:
    home = copy_of(pristine, tmp_path / "rehearsal")
    rehearsed, status = await visit(zygote, home, None)
    assert (status, rehearsed.done) == (0, len(ACTIONS))
    assert faults_of(home, rehearsed) == []
    places = [place for place in zygote.places() if is_worth_it(place)]
    assert len(places) > 150
    found = {}
    for number, place in enumerate(places[part::PARTS]):
        home = copy_of(pristine, tmp_path / f"death{number}")
        visited, status = await visit(zygote, home, place)
        if (status, visited.done) == (0, len(ACTIONS)) and may_not_come(place):
            continue
        assert status == KILLED, (place, status, zygote.said())
        if faults := faults_of(home, visited):
            found[place] = faults
        is_torn = " of write messages.jsonl" in place
        assert bool(list(home.room_path("demo").glob("*.torn-*"))) == is_torn, place
        shutil.rmtree(home.root)
    assert found == {}


# --- Commands without a server ---------------------------------------------------------
MAKE = ("room", "start", "new", "--brief", "Goal: be there.")
INVITE = ("room", "invite", "late", "--kind", "human")
WAYS_ON = {
    MAKE: ("already", ("room", "use", "new")),
    INVITE: ("room rotate", ("room", "rotate", "late")),
}
"""What a command says where a dead one had done it, and how to go on from there."""
COMMANDS = [
    MAKE,
    INVITE,
    ("read",),
    ("send", "rev", "hello"),
    ("room", "close"),
]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
async def test_a_command_that_is_killed_at_any_step_leaves_a_home_that_works(
    zygote: Zygote, pristine: Home, tmp_path: Path, command: tuple[str, ...]
) -> None:
    home = copy_of(pristine, tmp_path / "rehearsal")
    assert await zygote.run(home, *command) == 0
    for number, place in enumerate(filter(is_worth_it, zygote.places())):
        home = copy_of(pristine, tmp_path / f"death{number}")
        assert await zygote.run(home, *command, place=place) == KILLED
        for room in home.rooms():
            home.read_room(room)
        current = home.read_current()
        assert current is not None, place
        again = await zygote.run(home, *command)
        # What was made is there, and nothing is in the way of what was not.
        refusal, way_on = WAYS_ON.get(command, ("", None))
        is_there = way_on is not None and refusal in zygote.said()
        assert again == int(is_there), (place, zygote.said())
        if way_on is not None and is_there:
            assert await zygote.run(home, *way_on) == 0, (place, zygote.said())
        with open_room(home, current.roomId, Records(), NOW) as opened:
            assert opened.warnings == (), place
        shutil.rmtree(home.root)
