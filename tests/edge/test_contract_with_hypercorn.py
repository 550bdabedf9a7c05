"""What our subclasses rely on, in libraries that promise none of it.

A failure here after an upgrade names the place to look at, before anything is served.
"""

import inspect
from importlib.metadata import version
from typing import Any

import h11
import pytest
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, RawData
from hypercorn.protocol import ws_stream
from hypercorn.protocol.events import Body, Data, EndBody, Request, Response, StreamClosed
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from wsproto.connection import Connection as WebSocketConnection
from wsproto.connection import ConnectionType
from wsproto.events import CloseConnection

from agentgather.edge.connection import Connection
from agentgather.edge.websocket import WebSocketProtocol
from agentgather.edge.websocket_frames import SocketStream
from tests.edge.frames import frame, handshake


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_version_is_the_one_that_was_read() -> None:
    assert version("hypercorn") == "0.18.0", "read its trio/ and protocol/ again, then this file"


def test_classes_are_made_with_what_we_give_them() -> None:
    assert parameters(TCPServer) == ["app", "config", "context", "state", "stream"]
    ends = ["task_group", "ssl", "client", "server", "send", "stream_id"]
    assert parameters(ws_stream.WSStream) == ["app", "config", "context", *ends]
    assert parameters(H11Protocol) == [
        *("app", "config", "context", "task_group", "connection_state"),
        *("ssl", "client", "server", "send"),
    ]
    assert parameters(Lifespan) == ["app", "config", "state"]
    assert parameters(WorkerContext) == ["max_requests"]


OVERRIDDEN = [
    (Connection, "run"),
    (Connection, "protocol_send"),
    (SocketStream, "handle"),
    (SocketStream, "_handle_events"),
    (SocketStream, "_send_error_response"),
]


@pytest.mark.parametrize(("ours", "name"), OVERRIDDEN)
def test_what_we_override_is_there_and_takes_the_same(ours: type, name: str) -> None:
    theirs = getattr(ours.__mro__[1], name)
    assert inspect.iscoroutinefunction(theirs)
    assert parameters(theirs) == parameters(getattr(ours, name))


INHERITED = [
    (Connection, "__await__"),
    (WebSocketProtocol, "handle"),
    (WebSocketProtocol, "stream_send"),
    (SocketStream, "app_send"),
    (SocketStream, "_send_wsproto_event"),
]


@pytest.mark.parametrize(("ours", "name"), INHERITED)
def test_what_we_inherit_is_not_overridden_by_accident(ours: type, name: str) -> None:
    assert name not in vars(ours)
    assert hasattr(ours.__mro__[1], name)


SETTINGS = [
    *("include_server_header", "include_date_header", "accesslog", "errorlog"),
    *("startup_timeout", "shutdown_timeout", "websocket_ping_interval"),
    *("websocket_max_message_size", "max_app_queue_size"),
]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_has_not_changed_its_name(name: str) -> None:
    assert hasattr(Config, name)


def test_without_its_headers_hypercorn_adds_none() -> None:
    config = Config()
    config.include_date_header = config.include_server_header = False
    assert config.response_headers("h11") == []


async def test_the_protocol_writes_what_a_websocket_says() -> None:
    written: list[Any] = []

    async def send(event: Any) -> None:
        written.append(event)

    config = Config()
    config.include_date_header = config.include_server_header = False
    tasks: Any = None
    protocol = H11Protocol(
        tasks, config, WorkerContext(None), tasks, ConnectionState({}), False, None, None, send
    )
    assert protocol.stream is None
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(handshake())
    parser.next_event()
    protocol.connection = H11WSConnection(parser)
    heard: list[Any] = []

    class Stream:
        async def handle(self, event: Any) -> None:
            heard.append(event)

    stream: Any = Stream()
    protocol.stream = stream
    switch = [(b"upgrade", b"WebSocket"), (b"connection", b"Upgrade")]
    await protocol.stream_send(Response(stream_id=STREAM_ID, status_code=101, headers=switch))
    await protocol.stream_send(Data(stream_id=STREAM_ID, data=b"frame"))
    assert written[0].data.startswith(b"HTTP/1.1 101 ")
    assert written[1] == RawData(data=b"frame")
    await protocol.handle(RawData(data=b"abc"))
    assert heard == [Data(stream_id=STREAM_ID, data=b"abc")]
    # The stream's end is the connection's end, and it forgets the stream.
    await protocol.stream_send(StreamClosed(stream_id=STREAM_ID))
    assert heard[1:] == [StreamClosed(stream_id=STREAM_ID)]
    assert written[2:] == [Closed()]
    assert protocol.stream is None
    await protocol.handle(Closed())
    assert len(heard) == 2


async def test_a_websocket_stream_asks_for_its_application_and_feeds_it() -> None:
    asked: list[Any] = []
    told: list[Any] = []
    sent: list[Any] = []

    class Tasks:
        async def spawn_app(self, *arguments: Any) -> Any:
            asked.append(arguments)

            async def put(event: Any) -> None:
                told.append(event)

            return put

    async def send(event: Any) -> None:
        sent.append(event)

    tasks: Any = Tasks()
    app: Any = object()
    config = Config()
    stream = ws_stream.WSStream(
        app, config, WorkerContext(None), tasks, False, None, None, send, STREAM_ID
    )
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(handshake())
    request = parser.next_event()
    assert isinstance(request, h11.Request)
    await stream.handle(
        Request(
            stream_id=STREAM_ID,
            headers=list(request.headers),
            http_version="1.1",
            method="GET",
            raw_path=b"/",
            state=ConnectionState({}),
        )
    )
    [(given_app, given_config, scope, app_send)] = asked
    assert (given_app, given_config) == (app, config)
    assert app_send == stream.app_send
    assert scope["type"] == "websocket"
    assert told == [{"type": "websocket.connect"}]
    assert not stream.handshake.accepted
    await app_send({"type": "websocket.accept"})
    assert stream.handshake.accepted
    assert sent[0].status_code == 101
    assert not [name for name, _ in sent[0].headers if name == b"sec-websocket-extensions"]
    await stream.handle(Data(stream_id=STREAM_ID, data=frame(2)))
    assert told[1:] == [{"type": "websocket.receive", "bytes": b"", "text": None}]
    await stream.handle(StreamClosed(stream_id=STREAM_ID))
    assert told[2:] == [{"type": "websocket.disconnect", "code": 1006}]
    # From now on the application may say what it likes.
    await app_send({"type": "websocket.send", "text": "x"})
    await app_send(None)
    assert len(sent) == 1


def test_an_error_answer_is_made_of_these_events() -> None:
    assert Body(stream_id=STREAM_ID, data=b"x").data == b"x"
    assert EndBody(stream_id=STREAM_ID).stream_id == STREAM_ID


def test_wsproto_makes_a_close_of_broken_frames() -> None:
    connection = WebSocketConnection(ConnectionType.SERVER)
    connection.receive_data(frame(2, b"x", rsv=4))
    [event] = connection.events()
    assert isinstance(event, CloseConnection)
    assert event.code == 1002


async def test_a_lifespan_that_ends_early_has_set_its_events() -> None:
    async def app(*_: Any) -> None:
        return

    lifespan = Lifespan(app, Config(), {})
    async with trio.open_nursery() as nursery:
        await nursery.start(lifespan.handle_lifespan)
        await trio.testing.wait_all_tasks_blocked()
    assert lifespan.startup.is_set()
    assert lifespan.shutdown.is_set()


# --- h11: what it reads, and what it leaves to us ---------------------------------------


def read(data: bytes) -> Any:
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(data)
    return parser.next_event()


LENIENT = {
    "bare line feeds": b"GET / HTTP/1.1\nHost: a\n\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
    "equal lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n",
    "a control character": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n",
    "HTTP/3.0": b"GET / HTTP/3.0\r\nHost: a\r\n\r\n",
    "a target with a host": b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("data", LENIENT.values(), ids=LENIENT.keys())
def test_h11_leaves_this_to_us(data: bytes) -> None:
    assert isinstance(read(data), h11.Request)


def test_h11_keeps_what_is_behind_a_body() -> None:
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
    request = parser.next_event()
    assert isinstance(request, h11.Request)
    assert request.headers.raw_items() == [(b"Host", b"a"), (b"Content-Length", b"3")]
    assert parser.next_event() is h11.NEED_DATA
    parser.receive_data(b"abcGET /")
    assert isinstance(parser.next_event(), h11.Data)
    assert isinstance(parser.next_event(), h11.EndOfMessage)
    assert parser.trailing_data == (b"GET /", False)


def test_h11_names_a_coding_that_it_does_not_read() -> None:
    with pytest.raises(h11.RemoteProtocolError) as refusal:
        read(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n")
    assert refusal.value.error_status_hint == 501
