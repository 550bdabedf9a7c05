"""Long random days of a room, against the few things that must always hold."""

import json
import random
from itertools import pairwise
from typing import Any

import pytest
import trio

from agentgather.storage.failures import StorageFull
from agentgather.storage.home import Home
from tests.doubles.asgi_client import AsgiClient, Reply
from tests.doubles.chance import seeded
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.gated_store import GatedStore
from tests.doubles.table import TOKENS, Table, open_table

pytestmark = VIRTUAL_TIME

STEPS = 60
CALLERS = 8
ALLOWED = {200, 201, 403, 404, 409, 410, 429, 507}


class Day:
    """Callers who do random things, and what they were told."""

    def __init__(self, seed: int) -> None:
        self.random = seeded(seed)
        self.tokens: dict[str, str] = dict(TOKENS)
        self.removed: set[str] = set()
        self.taken: dict[int, str] = {}
        self.refused: set[str] = set()
        self.brief_version = 1
        self.is_closed = False
        self.count = 0
        self.seen: dict[str, list[int]] = {}

    async def one(self, table: Table, caller: int) -> None:
        """Let a caller do a few things, one after the other."""
        for _ in range(STEPS // CALLERS):
            await trio.sleep(self.random.random() * 3)
            what = self.random.choices(
                ("post", "keyed", "join", "leave", "profile", "wait", "brief", "invite",
                 "remove", "rotate", "read", "give up", "close"),
                (30, 12, 6, 6, 4, 14, 3, 3, 2, 2, 10, 8, 0.3),
            )[0]  # fmt: skip
            alias = self.random.choice(sorted(self.tokens))
            client = AsgiClient(table.app, self.tokens[alias])
            host = AsgiClient(table.app, self.tokens["host"])
            self.count += 1
            name = f"{caller}-{self.count}"
            reply = await self.act(what, name, alias, client, host)
            if reply is not None:
                assert reply.status in ALLOWED, reply
                if reply.status >= 400:
                    assert reply.error

    async def act(
        self, what: str, name: str, alias: str, client: AsgiClient, host: AsgiClient
    ) -> Reply | None:
        if what in ("post", "keyed"):
            draft = {"text": f"@rev {name}"}
            if what == "keyed":
                draft["client_msg_id"] = name
            reply = await client.post("/messages", draft)
            self.note_post(name, reply)
            if what == "keyed" and reply.status in (201, 507):
                again = await client.post("/messages", draft)
                if reply.status == 201 and again.status == 200:
                    assert again.json()["message"] == reply.json()["message"]
                elif again.status == 201:
                    self.refused.discard(name)
                    self.note_post(name, again)
            return reply
        if what == "give up":
            # A post whose sender leaves: it may be stored or not, and never twice.
            with trio.move_on_after(0):
                await client.post("/messages", {"text": f"perhaps {name}"})
            return None
        if what == "wait":
            query = self.random.choice(("", "&for=me"))
            since_id = self.random.choice((0, 3, 10**6))
            reply = await client.get(f"/wait?hold=2&since_id={since_id}{query}")
            if reply.status == 200:
                ids = [message["id"] for message in reply.json()["messages"]]
                assert ids == sorted(set(ids))
            return reply
        if what == "read":
            return await client.get(self.random.choice(("/status", "/messages", "/card", "/brief")))
        if what in ("join", "leave"):
            return await client.post(f"/{what}")
        if what == "profile":
            return await client.post("/profile", {"display_name": f"Name {name}"})
        if what == "brief":
            reply = await host.post("/brief", {"body": name})
            if reply.status == 200:
                self.brief_version += 1
            return reply
        if what == "close":
            reply = await host.post("/close")
            self.is_closed = self.is_closed or reply.status == 200
            return reply
        if what == "invite":
            reply = await host.post("/participants", {"alias": f"x{name}", "kind": "human"})
            if reply.status == 201:
                self.tokens[f"x{name}"] = reply.json()["token"]
            return reply
        if alias == "host":
            return None
        reply = await host.post(f"/participants/{alias}/{what}")
        if reply.status == 200 and what == "remove":
            self.removed.add(alias)
        elif reply.status == 200:
            self.tokens[alias] = reply.json()["token"]
        return reply

    def note_post(self, name: str, reply: Reply) -> None:
        if reply.status == 201:
            message = reply.json()["message"]
            assert message["id"] not in self.taken
            self.taken[message["id"]] = message["text"]
        else:
            self.refused.add(name)

    async def check(self, table: Table) -> None:
        """Look at what must hold, in the room and on its disk."""
        host = AsgiClient(table.app, self.tokens["host"])
        lines = (table.folder / "messages.jsonl").read_bytes().split(b"\n")
        assert lines.pop() == b""
        log = [json.loads(line) for line in lines]
        assert [message["id"] for message in log] == list(range(1, len(log) + 1))
        assert await read_all(host) == log
        texts = {message["id"]: message["text"] for message in log}
        assert {number: texts[number] for number in self.taken} == self.taken
        for name in self.refused:
            assert not any(text == f"@rev {name}" for text in texts.values())
        status = (await host.get("/status")).json()
        assert status["brief_version"] == self.brief_version
        assert [text for text in texts.values() if text == "room closed"] == (
            ["room closed"] if self.is_closed else []
        )
        seats = {seat["alias"]: seat for seat in status["participants"]}
        assert set(seats) == set(self.tokens)
        for alias, token in self.tokens.items():
            reply = await AsgiClient(table.app, token).get("/messages")
            assert reply.status == (410 if alias in self.removed else 200), alias
            assert ("removed_at" in seats[alias]) == (alias in self.removed)
        for alias in seats:
            notices = [
                text.removeprefix(f"{alias} ")
                for text in texts.values()
                if text in (f"{alias} joined", f"{alias} left")
            ]
            assert all(one != two for one, two in pairwise(notices))


async def read_all(client: AsgiClient) -> list[Any]:
    found: list[Any] = []
    since_id = 0
    while True:
        page = (await client.get(f"/messages?since_id={since_id}&limit=7")).json()
        found += page["messages"]
        since_id = page["next_since_id"]
        if not page["has_more"]:
            return found


async def break_now_and_then(store: GatedStore, random: random.Random) -> None:
    while True:
        await trio.sleep(random.random() * 2)
        store.error = StorageFull("no space")


@pytest.mark.hostile("S19", "S21")
@pytest.mark.random
@pytest.mark.parametrize("disk_fills_up", [False, True])
@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_what_was_told_is_true(
    home: Home, seed: int, *, disk_fills_up: bool
) -> None:
    day = Day(seed)
    for _ in range(3):
        async with open_table(home) as table:
            store = GatedStore(table.live.commit._store)
            table.live.commit._store = store
            async with trio.open_nursery() as background:
                if disk_fills_up:
                    background.start_soon(break_now_and_then, store, day.random)
                async with trio.open_nursery() as nursery:
                    for caller in range(CALLERS):
                        nursery.start_soon(day.one, table, caller)
                background.cancel_scope.cancel()
            store.error = None
            await table.settled()
            await day.check(table)
            assert len(table.live.hub) == 0
        # And all of it is so again after a restart.
        async with open_table(home) as table:
            await day.check(table)
