"""A server's connection that is cancelled at every step: nothing half looks whole."""

from contextlib import suppress
from typing import Any

import trio
from trio.testing import MockClock

from tests.cancellation.baseline import baseline
from tests.doubles.cancelling import Cut, cut_everywhere
from tests.edge.frames import BINARY, CLOSE, PING, Frame, frame, parse_frames, upgrade
from tests.edge.peers import Answer, App, RawPeer, answer, get, make_pair, post, read_all

LARGE = bytes(range(256)) * 4096
"""More than the kernel takes of an answer at once."""


async def echo_largely(scope: Any, receive: Any, send: Any) -> None:
    """Answer with much to a POST, and with a stream to anything else."""
    if scope["method"] == "POST":
        await read_all(receive)
        await answer(send, LARGE)
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(3):
        await trio.sleep(1)
        await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def cut_connection(cut: Cut, app: App, talk: Any) -> None:
    """Serve one connection to a peer who does what ``talk`` does, and cut it."""
    before = baseline()
    pair, connection = make_pair(app)
    async with trio.open_nursery() as others:

        async def run() -> None:
            with suppress(EOFError, trio.BrokenResourceError):
                await talk(pair)
            await pair.stream.aclose()

        others.start_soon(run)
        await cut.run(connection.run, beside=others)
    assert not pair.traffic.connections
    assert pair.traffic._in_flight == 0
    assert baseline() == before


async def test_what_came_of_an_answer_is_all_of_it_or_broken_off(
    autojump_clock: MockClock,
) -> None:
    async def once(cut: Cut) -> None:
        answers: list[Answer] = []

        async def talk(peer: RawPeer) -> None:
            for request in (post(b"one"), get("/stream"), post(b"two")):
                answers.append(await peer.ask(request))

        await cut_connection(cut, echo_largely, talk)
        bodies = [LARGE, b"1\r\n0\r\n1\r\n1\r\n1\r\n2\r\n0\r\n\r\n", LARGE]
        assert [one.body for one in answers] == bodies[: len(answers)]
        assert len(answers) == 3 or not cut.is_over

    await cut_everywhere(once, at_least=60)


async def repeat(scope: Any, receive: Any, send: Any) -> None:
    """Accept a WebSocket, and send every message back."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": event["bytes"], "text": event["text"]})


async def test_a_websocket_ends_between_two_frames(autojump_clock: MockClock) -> None:
    async def once(cut: Cut) -> None:
        received: list[bytes] = []

        async def talk(peer: RawPeer) -> None:
            await upgrade(peer)
            for number in range(3):
                await peer.send(frame(BINARY, b"%d" % number) + frame(PING, b"p"))
                await trio.sleep(1)
            await peer.send(frame(CLOSE, b"\x03\xe8"))
            received.append(await peer.rest())

        await cut_connection(cut, repeat, talk)
        messages = [one for one in parse_frames(b"".join(received)) if one.opcode == BINARY]
        assert messages == [Frame(BINARY, b"%d" % number) for number in range(len(messages))]
        assert len(messages) == 3 or not cut.is_over

    await cut_everywhere(once, at_least=40)
