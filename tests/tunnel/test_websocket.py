"""A WebSocket to a broker over real sockets, and everything that can be there instead."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

from agentgather.link.transport import LinkClosed
from agentgather.tunnel.no_link import NoLink
from agentgather.tunnel.websocket import (
    CONNECT_SECONDS,
    MAX_MESSAGE_BYTES,
    MAX_REFUSAL_BYTES,
    open_websocket,
)
from agentgather.wire.link import LINK_PATH, SUBPROTOCOL

Serve = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def open_server(serve: Serve) -> AsyncIterator[str]:
    """Serve each connection, and give the base URL."""
    async with trio.open_nursery() as nursery:

        async def contained(stream: trio.SocketStream) -> None:
            try:
                await serve(stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return

        listeners = await nursery.start(partial(trio.serve_tcp, contained, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_broker(
    behave: Callable[[WebSocketRequest], Awaitable[None]],
) -> AsyncIterator[str]:
    """Serve WebSockets, and give the base URL."""
    async with trio.open_nursery() as nursery:
        server: Any = await nursery.start(
            partial(serve_websocket, behave, "127.0.0.1", 0, ssl_context=None)
        )
        yield f"http://127.0.0.1:{server.port}"
        nursery.cancel_scope.cancel()


async def echo(request: WebSocketRequest) -> None:
    assert request.path == LINK_PATH
    assert request.proposed_subprotocols == (SUBPROTOCOL,)
    connection = await request.accept(subprotocol=SUBPROTOCOL)
    while True:
        try:
            await connection.send_message(await connection.get_message())
        except ConnectionClosed:
            return


async def failure(url: str) -> NoLink:
    with trio.fail_after(5), pytest.raises(NoLink) as caught:
        async with open_websocket(url):
            raise AssertionError("there is a link")
    return caught.value


def sending(data: bytes) -> Serve:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        await stream.send_all(data)

    return serve


async def test_messages_go_both_ways_until_the_goodbye() -> None:
    async with open_broker(echo) as url, open_websocket(url) as websocket:
        for message in (b"\0one", b"", b"x" * 200_000):
            await websocket.send(message)
            assert await websocket.receive() == message
        await websocket.close(4408, "heartbeat_timeout")
        with pytest.raises(LinkClosed):
            await websocket.send(b"late")


async def test_a_broker_may_have_a_path() -> None:
    async def behave(request: WebSocketRequest) -> None:
        assert request.path == "/agents" + LINK_PATH
        await request.accept(subprotocol=SUBPROTOCOL)

    async with open_broker(behave) as url, open_websocket(f"{url}/agents"):
        pass


async def test_the_brokers_reason_for_the_end_is_known() -> None:
    async def behave(request: WebSocketRequest) -> None:
        connection = await request.accept(subprotocol=SUBPROTOCOL)
        await connection.aclose(4409, "superseded")

    async with open_broker(behave) as url, open_websocket(url) as websocket:
        with pytest.raises(LinkClosed) as caught:
            await websocket.receive()
    assert (caught.value.code, caught.value.reason) == (4409, "superseded")


async def test_a_cut_connection_is_an_end_without_a_reason() -> None:
    async def behave(request: WebSocketRequest) -> None:
        connection = await request.accept(subprotocol=SUBPROTOCOL)
        await connection._stream.aclose()

    async with open_broker(behave) as url, open_websocket(url) as websocket:
        with pytest.raises(LinkClosed) as caught:
            await websocket.receive()
    assert caught.value.code == 1006


@pytest.mark.hostile("T08")
async def test_a_message_that_is_too_long_ends_the_link() -> None:
    async def behave(request: WebSocketRequest) -> None:
        connection = await request.accept(subprotocol=SUBPROTOCOL)
        await connection.send_message(bytes(MAX_MESSAGE_BYTES + 1))
        await trio.sleep(1)

    async with open_broker(behave) as url, open_websocket(url) as websocket:
        with pytest.raises(LinkClosed):
            await websocket.receive()


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    async with open_broker(echo) as url:
        with pytest.raises(ZeroDivisionError):
            async with open_websocket(url):
                raise ZeroDivisionError


async def test_cancelling_ends_it_at_once() -> None:
    async with open_broker(echo) as url:
        with trio.move_on_after(0.05) as scope:
            async with open_websocket(url) as websocket:
                await websocket.receive()
        assert scope.cancelled_caught


async def test_a_refusal_is_told_with_what_was_answered() -> None:
    async def behave(request: WebSocketRequest) -> None:
        await request.reject(405, body=b'{"ok":false}')

    async with open_broker(behave) as url:
        error = await failure(url)
    assert (error.status, error.body) == (405, b'{"ok":false}')


async def test_a_broker_of_another_form_of_the_link_is_none() -> None:
    async def behave(request: WebSocketRequest) -> None:
        await request.accept()

    async with open_broker(behave) as url:
        assert "another form" in str(await failure(url))


@pytest.mark.hostile("T21")
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 301 Moved\r\nlocation: https://evil.example/\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-accept: wrong\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 100000000\r\n\r\n" + b"x" * 1_000_000,
        b"HTTP/1.1 404 Not Found\r\nx: " + b"x" * 1_000_000,
        b"\0" * 100_000,
    ],
)
async def test_what_is_no_broker_is_told_soon_and_costs_little(answer: bytes) -> None:
    async with open_server(sending(answer)) as url:
        error = await failure(url)
    assert len(error.body) <= MAX_REFUSAL_BYTES
    assert str(error)


@pytest.mark.hostile("W04", "T17")
async def test_frames_that_break_the_protocol_end_the_link() -> None:
    """After a good handshake, by a server that speaks nonsense."""
    for nonsense in (b"\xff\xff\xff\xff", b"\x83\x00", b"\x88\x01\x00", b"\x81\x02\xff\xff"):

        async def behave(request: WebSocketRequest, nonsense: bytes = nonsense) -> None:
            connection = await request.accept(subprotocol=SUBPROTOCOL)
            await connection._stream.send_all(nonsense)
            await trio.sleep(1)

        async with open_broker(behave) as url:
            with trio.fail_after(5), pytest.raises((LinkClosed, NoLink)):
                async with open_websocket(url) as websocket:
                    await websocket.receive()


@pytest.mark.hostile("T21")
async def test_a_broker_that_does_not_answer_is_given_up(
    autojump_clock: MockClock,
) -> None:
    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with open_server(silent) as url:
        with pytest.raises(NoLink, match="no answer"):
            async with open_websocket(url):
                pass
    assert trio.current_time() == pytest.approx(CONNECT_SECONDS, abs=1)


async def test_nobody_there_and_no_such_name_are_told_apart() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{holder.getsockname()[1]}"
        assert "nobody listens" in str(await failure(url))
    trio.socket.set_custom_hostname_resolver(NoNames())
    assert "name is not known" in str(await failure("http://broker.example"))


class NoNames(trio.abc.HostnameResolver):
    """A machine without a network."""

    async def getaddrinfo(self, *_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    async def getnameinfo(self, *_: Any) -> Any:
        raise NotImplementedError


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of this machine that only its maker vouches for, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    words = [
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-days", "1", "-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", str(key), "-out", str(certificate)),
    ]
    subprocess.run([openssl, *words], check=True, capture_output=True)
    return certificate, key


@asynccontextmanager
async def open_tls_broker(certificate: tuple[Path, Path]) -> AsyncIterator[str]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    async with trio.open_nursery() as nursery:
        server: Any = await nursery.start(
            partial(serve_websocket, echo, "127.0.0.1", 0, ssl_context=context)
        )
        yield f"https://127.0.0.1:{server.port}"
        nursery.cancel_scope.cancel()


async def test_a_certificate_that_the_machine_trusts_is_taken(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with open_tls_broker(certificate) as url, open_websocket(url) as websocket:
        await websocket.send(b"over TLS")
        assert await websocket.receive() == b"over TLS"


@pytest.mark.hostile("T21")
async def test_a_certificate_that_nobody_vouches_for_is_not(
    certificate: tuple[Path, Path], caplog: Any
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        await trio.SSLStream(stream, context, server_side=True).receive_some()

    async with open_server(serve) as url:
        error = await failure(url.replace("http:", "https:"))
    assert "certificate is not good" in str(error)


@pytest.mark.hostile("T21")
async def test_a_certificate_of_another_name_is_not(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    async def serve(stream: trio.SocketStream) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        await trio.SSLStream(stream, context, server_side=True).receive_some()

    async with open_server(serve) as url:
        error = await failure(url.replace("http://127.0.0.1", "https://localhost"))
    assert "certificate is not good" in str(error)


async def test_plain_http_where_tls_should_be_is_told() -> None:
    async with open_server(sending(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        assert "no TLS" in str(await failure(url.replace("http:", "https:")))
