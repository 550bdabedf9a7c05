"""The client without sockets gets what a client with a socket gets."""

import pytest
import trio

from agentgather.edge.serve import open_listener, serve_http
from tests.doubles.asgi_client import AsgiClient, Reply
from tests.doubles.table import Table

REQUESTS = [
    ("GET", "/", None),
    ("HEAD", "/", None),
    ("GET", "/healthz", None),
    ("GET", "/status", None),
    ("GET", "/messages", None),
    ("GET", "/wait?hold=0", None),
    ("GET", "/card", None),
    ("GET", "/nothing", None),
    ("HEAD", "/messages", None),
    ("DELETE", "/messages", None),
    ("POST", "/join", b""),
    ("POST", "/messages", b'{"text":"hi","client_msg_id":"k"}'),
    ("POST", "/messages", b"nonsense"),
    ("POST", "/participants//remove", b""),
]


async def ask(port: int, request: bytes) -> bytes:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(request)
        received = b""
        async for chunk in stream:
            received += chunk
    return received


@pytest.mark.parametrize(("method", "target", "body"), REQUESTS)
async def test_both_get_the_same_answer(
    real_table: Table, method: str, target: str, body: bytes | None
) -> None:
    table = real_table
    client = table.ada
    for _ in range(2):  # so that both ask a room in the same state
        without = await client.ask(method, target, body=body or b"")
    stop = trio.Event()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            listeners = open_listener("127.0.0.1", 0)
            port = listeners[0].getsockname()[1]
            await nursery.start(lambda task_status: serve_http(
                table.app, listeners, stop=stop, task_status=task_status
            ))  # fmt: skip
            scope = client.scope(method, target, body or b"", {"connection": "close"})
            fields = b"".join(b"%b: %b\r\n" % field for field in scope["headers"])
            line = f"{method} {target} HTTP/1.1\r\n".encode()
            received = await ask(port, line + fields + b"\r\n" + (body or b""))
            stop.set()
    head, _, content = received.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    headers = dict(field.split(": ", 1) for field in rest)
    assert headers.pop("connection") == "close"
    with_socket = Reply(int(first.split(" ")[1]), headers, content)
    assert with_socket.status == without.status
    assert with_socket.headers == without.headers
    assert with_socket.body.replace(b"", b"") == without.body


async def test_a_client_whose_application_answers_wrongly_says_so() -> None:
    async def lies(_scope: object, _receive: object, send: object) -> None:
        assert callable(send)
        headers = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"four", "more_body": False})

    with pytest.raises(AssertionError, match="not exact"):
        await AsgiClient(lies).get("/")

    async def answers_twice(_scope: object, _receive: object, send: object) -> None:
        assert callable(send)
        for _ in range(2):
            await send({"type": "http.response.start", "status": 200, "headers": []})

    with pytest.raises(AssertionError, match="second head"):
        await AsgiClient(answers_twice).get("/")

    async def is_silent(_scope: object, _receive: object, _send: object) -> None:
        return

    with pytest.raises(AssertionError, match="no answer"):
        await AsgiClient(is_silent).get("/")
