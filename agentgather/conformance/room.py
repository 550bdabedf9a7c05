"""The room that is tried, with the seats that were made in it for that."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import trio

from agentgather.conformance.answer import Answer, Document
from agentgather.conformance.client import Client
from agentgather.conformance.connection import Connection
from agentgather.conformance.seat import ALIASES, Seat, Seats
from agentgather.conformance.verdict import Broken, holds

PAST: Final = 999_999_999_999_999
"""A cursor past the end of any log."""
HELD_SECONDS: Final = 0.3
"""A request that is not answered by then is held."""


class Room:
    """One room. Seats are made when a clause asks for them, and removed by :meth:`tidy`.

    ``run`` is a word that no other run has; it is in the aliases, which can be used once.
    """

    def __init__(self, client: Client, host: Seat, status: Document, *, run: str) -> None:
        self.client = client
        self.host = host
        self.name: str = status["room"]
        self.base = client.place.text
        self._policy: str = status["attendance_policy"]
        self._brief: str | None = None
        self._run = run
        self._seats: dict[Seats, Seat] = {Seats.HOST: host}
        # Clauses that are tried together ask for the same one.
        self._making = trio.Lock()
        self._guests: list[str] = []
        self._removed: Seat | None = None

    # --- Seats -----------------------------------------------------------------------
    async def seat(self, which: Seats) -> Seat:
        """Give one of the seats that all clauses share."""
        async with self._making:
            return await self._made(which)

    async def _made(self, which: Seats) -> Seat:
        if which not in self._seats:
            # An agent is what is invited where no kind is named.
            draft = {} if which is Seats.AGENT else {"kind": "human"}
            if which is Seats.OBSERVER:
                draft["role"] = "observer"
            self._seats[which] = await self.guest(which.value, **draft)
        return self._seats[which]

    async def human(self) -> Seat:
        """Give the seat of a person."""
        return await self.seat(Seats.HUMAN)

    async def agent(self) -> Seat:
        """Give the seat of an agent."""
        return await self.seat(Seats.AGENT)

    async def guest(self, word: str, **draft: object) -> Seat:
        """Make a seat for one clause."""
        # Noted before it is made: the run may be cut short before the answer is here.
        alias = self.unused_alias(word)
        answer = await self.ask("POST", "/participants", self.host, sent={"alias": alias, **draft})
        invite = answer.document(201)
        holds(isinstance(invite.get("token"), str), "an invite has no token")
        return Seat(alias, invite["token"], invite)

    def unused_alias(self, word: str) -> str:
        """Give an alias that nobody has; a seat that is made with it is removed at the end."""
        alias = f"{ALIASES}{self._run}-{word}"
        self._guests.append(alias)
        return alias

    async def rotate(self, seat: Seat) -> Seat:
        """Give a seat a new token; where clauses share it, from now on."""
        answer = await self.ask("POST", f"/participants/{seat.alias}/rotate", self.host)
        invite = answer.document()
        fresh = Seat(seat.alias, str(invite["token"]), invite)
        for which, shared in self._seats.items():
            if shared.alias == seat.alias:
                self._seats[which] = fresh
        return fresh

    async def remove(self, seat: Seat) -> Document:
        """Remove a seat."""
        answer = await self.ask("POST", f"/participants/{seat.alias}/remove", self.host)
        document = answer.document()
        self._guests.remove(seat.alias)
        self._removed = seat
        return document

    async def gone(self) -> Seat:
        """Give a seat that was removed. The host's writes are few a minute, so it is shared."""
        if self._removed is None:
            await self.remove(await self.guest("gone", kind="human"))
        assert self._removed is not None
        return self._removed

    async def tidy(self) -> None:
        """Remove all seats, and put brief and policy back."""
        for alias in self._guests:
            await self.ask("POST", f"/participants/{alias}/remove", self.host)
        self._guests.clear()
        status = await self.status()
        if status["room_status"] == "closed":
            return
        if status["attendance_policy"] != self._policy:
            await self.ask("POST", "/attendance", self.host, sent={"policy": self._policy})
        if self._brief is not None:
            await self.ask("POST", "/brief", self.host, sent={"body": self._brief})

    # --- Asking ------------------------------------------------------------------------
    async def ask(self, method: str, target: str, seat: Seat | None = None, **given: Any) -> Answer:
        """Ask as a seat, or as nobody; see :meth:`Client.ask`."""
        return await self.client.ask(method, target, seat.token if seat else None, **given)

    async def get(self, target: str, seat: Seat) -> Document:
        """Give the document of a GET."""
        return (await self.ask("GET", target, seat)).document()

    async def post(self, seat: Seat, text: str, **more: object) -> Document:
        """Post a message, and give it as it was stored."""
        answer = await self.ask("POST", "/messages", seat, sent={"text": text, **more})
        message = answer.document(201).get("message")
        if not isinstance(message, dict):
            raise Broken("the answer to a post has no message")
        return message

    @asynccontextmanager
    async def held(self, seat: Seat, target: str) -> AsyncIterator[Connection]:
        """Ask on a connection of its own, which is to be held, for the length of the block.

        Raises:
            Broken: it is not held.

        """
        request = self.client.written("GET", target, seat.token)
        async with AsyncExitStack() as places:
            while True:
                connection = await places.enter_async_context(self.client.connected())
                await connection.send(request)
                if await connection.is_silent(HELD_SECONDS):
                    break
                answer = await self.client.answer(connection)
                if not await self.client.waits_for(answer):
                    raise Broken(f"GET {target} is not held, but answered {answer.told()}")
            yield connection

    async def answer(self, connection: Connection) -> Document:
        """Give the answer of a held request, which is due now."""
        return (await self.client.answer(connection)).document()

    # --- What is there -----------------------------------------------------------------
    async def end(self) -> int:
        """Give the id of the last message, 0 where there is none."""
        page = await self.get(f"/messages?before_id={PAST}&limit=1", self.host)
        return int(page["messages"][-1]["id"]) if page["messages"] else 0

    async def since(self, cursor: int, seat: Seat | None = None) -> list[Document]:
        """Give the messages after a cursor."""
        page = await self.get(f"/messages?since_id={cursor}", seat or self.host)
        messages: list[Document] = page["messages"]
        return messages

    async def lines(self, cursor: int) -> list[str]:
        """Give the texts of the room's own lines after a cursor."""
        return [one["text"] for one in await self.since(cursor) if one["type"] == "system"]

    async def status(self) -> Document:
        """Give what the host sees of the room."""
        return await self.get("/status", self.host)

    async def public(self, alias: str) -> Document:
        """Give a participant as the roster shows it."""
        for one in (await self.status())["participants"]:
            if one["alias"] == alias:
                found: Document = one
                return found
        raise Broken(f"the roster has no {alias}")

    async def set_brief(self, body: str) -> Document:
        """Replace the brief; :meth:`tidy` puts the first one back."""
        if self._brief is None:
            self._brief = str((await self.get("/brief", self.host))["brief"]["body"])
        answer = await self.ask("POST", "/brief", self.host, sent={"body": body})
        return answer.document()

    async def set_policy(self, policy: str) -> Document:
        """Set the attendance policy; :meth:`tidy` puts the first one back."""
        answer = await self.ask("POST", "/attendance", self.host, sent={"policy": policy})
        return answer.document()
