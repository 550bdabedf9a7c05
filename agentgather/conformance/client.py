"""Asks a room over HTTP: connections kept, limits heeded, deadlines on everything."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from agentgather.conformance.answer import Answer
from agentgather.conformance.connection import Connection, request_bytes
from agentgather.conformance.pace import Pace
from agentgather.conformance.place import Place, connect
from agentgather.conformance.verdict import Broken, NotChecked

ANSWER_SECONDS: Final = 10.0
"""How long an answer may take that nothing has to be waited for."""
PATIENCE_SECONDS: Final = 150.0
"""How long a run waits, in all, where a limit says to come later."""


class Client:
    """Asks at one place. ``seconds`` is how long an answer may take."""

    def __init__(
        self,
        place: Place,
        *,
        seconds: float = ANSWER_SECONDS,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.place = place
        self.seconds = seconds
        self._say = say
        self._patience = PATIENCE_SECONDS
        self._kept: Connection | None = None
        self.pace = Pace(say)

    async def ask(
        self,
        method: str,
        target: str,
        token: str | None = None,
        *,
        sent: object = None,
        body: bytes | None = None,
        fields: tuple[str, ...] = (),
        is_patient: bool = True,
    ) -> Answer:
        """Ask on the kept connection. ``sent`` is a JSON document, ``body`` is bytes.

        ``fields`` are header lines; of Host and Content-Type they replace what is sent
        otherwise. With ``is_patient`` an answer that a rate is used up is waited out.
        """
        data = self.written(method, target, token, sent=sent, body=body, fields=fields)
        while True:
            await self.pace.take()
            answer = await self._exchange(data, is_head=method == "HEAD")
            if not (is_patient and await self.waits_for(answer)):
                return answer

    @property
    def waited(self) -> float:
        """How many seconds it has waited for rates that were used up."""
        return PATIENCE_SECONDS - self._patience

    @property
    def is_tunnelled(self) -> bool:
        """Whether a broker is in between."""
        return self.pace.is_bound

    async def outside(self, path: str) -> Answer:
        """Ask for what is not under the base URL, as nobody."""
        return await self.raw(request_bytes("GET", path, [f"Host: {self.place.netloc}"]))

    async def raw(self, data: bytes) -> Answer:
        """Send bytes on a connection of their own, and read one answer.

        Raises:
            Broken: it is no answer, or there is none in time.

        """
        async with self.connected() as connection:
            await connection.send(data)
            return await self.answer(connection)

    def written(
        self,
        method: str,
        target: str,
        token: str | None = None,
        *,
        sent: object = None,
        body: bytes | None = None,
        fields: tuple[str, ...] = (),
        version: str = "HTTP/1.1",
    ) -> bytes:
        """Write a request as bytes; see :meth:`ask`."""
        if sent is not None:
            body = json.dumps(sent, ensure_ascii=False).encode("utf-8")
        if body is None and method == "POST":
            body = b""
        named = {field.partition(":")[0].lower() for field in fields}
        lines = list(fields)
        if "host" not in named:
            lines.insert(0, f"Host: {self.place.netloc}")
        if token is not None:
            lines.append(f"Authorization: Bearer {token}")
        if body and "content-type" not in named:
            lines.append("Content-Type: application/json")
        lines = [line for line in lines if not line.endswith(": none")]
        return request_bytes(method, self.place.prefix + target, lines, body, version=version)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """Open a connection of its own for the length of the block."""
        await self.pace.take()
        with trio.fail_after(self.seconds):
            connection = await connect(self.place)
        try:
            yield connection
        finally:
            await connection.close()

    async def answer(
        self, connection: Connection, *, seconds: float | None = None, is_head: bool = False
    ) -> Answer:
        """Read an answer that is due within ``seconds``.

        Raises:
            Broken: there is none.

        """
        seconds = self.seconds if seconds is None else seconds
        with trio.move_on_after(seconds):
            return await connection.answer(is_head=is_head)
        raise Broken(f"no answer within {seconds:g} s")

    @property
    def may_be_fronted(self) -> bool:
        """Whether a proxy may stand in front of the server, which reads requests itself."""
        return self.place.is_tls or not self.place.is_loopback

    def fronted(self, answer: Answer) -> None:
        """Give up on a broken request where a proxy may have mended or refused it.

        Raises:
            NotChecked: the server may not have seen it.

        """
        if self.may_be_fronted and answer.status < 400:
            raise NotChecked("a proxy in front of the server may have put the request right")
        if self.may_be_fronted and not answer.is_ours:
            raise NotChecked("a proxy in front of the server has answered in its place")

    async def waits_for(self, answer: Answer) -> bool:
        """Wait as long as an answer says whose rate is used up. False: it is another answer."""
        if answer.status != 429 or b'"rate_limited"' not in answer.body:
            return False
        seconds = answer.retry_after
        if seconds is None or not 1 <= seconds <= self._patience:
            return False
        self._patience -= seconds
        self._say(f"waiting {seconds} s: a rate is used up")
        await trio.sleep(seconds)
        return True

    async def aclose(self) -> None:
        """Close the kept connection."""
        if self._kept is not None:
            await self._kept.close()
            self._kept = None

    async def _exchange(self, data: bytes, *, is_head: bool) -> Answer:
        kept, self._kept = self._kept, None
        if kept is not None and not await kept.is_silent(0):
            # It was closed since, as after an answer that ends its connection.
            await kept.close()
            kept = None
        with trio.fail_after(self.seconds):
            connection = kept or await connect(self.place)
        try:
            await connection.send(data)
            answer = await self.answer(connection, is_head=is_head)
        except BaseException:
            await connection.close()
            raise
        # Of two that were asked at the same time one is kept.
        if self._kept is not None or "close" in answer.field("connection").lower():
            await connection.close()
        else:
            self._kept = connection
        return answer
