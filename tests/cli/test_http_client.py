"""What answers may be broken, hostile or silent; a command ends all the same, and in time."""

import socket
import threading
import time

import pytest

from agentgather.cli import http_client
from agentgather.cli.base_url import BaseUrl
from agentgather.cli.failures import Misused
from agentgather.cli.http_client import NoAnswer, NotSent, Reply, exchange
from tests.cli.stub_server import hangs_up, says, sends, stub_server


def get(url: str) -> Reply:
    base = BaseUrl(url, insecure=False)
    return exchange(base, "GET", "/status", {"Authorization": "Bearer x"}, None, max_bytes=1000)


def test_an_answer_comes_back_whole() -> None:
    with stub_server(says("200 OK", b'{"ok":true}', "Retry-After: 7")) as server:
        assert get(server.url) == Reply(200, b'{"ok":true}', 7)
    request = server.requests[0].decode()
    assert request.startswith("GET /status HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{server.port}\r\n".lower() in request.lower()
    assert "authorization: bearer x\r\n" in request.lower()


def test_a_path_prefix_is_kept() -> None:
    with stub_server(says("200 OK")) as server:
        get(server.url + "/my-room/")
    assert server.requests[0].startswith(b"GET /my-room/status ")


def test_an_ipv6_literal_works() -> None:
    try:
        with stub_server(says("200 OK", b"x"), family=socket.AF_INET6) as server:
            assert get(f"http://[::1]:{server.port}").body == b"x"
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert f"[::1]:{server.port}".encode() in server.requests[0]


def test_chunks_interim_answers_and_an_end_by_closing_are_read() -> None:
    chunked = (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    with stub_server(sends(chunked)) as server:
        assert get(server.url).body == b"abc"
    with stub_server(sends(b"HTTP/1.0 200 OK\r\n\r\nabc")) as server:
        assert get(server.url).body == b"abc"


@pytest.mark.hostile("C03")
def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with stub_server(says("302 Found", b"", "Location: http://evil.example/")) as server:
        assert get(server.url).status == 302
    assert len(server.requests) == 1


def test_nobody_there_means_that_nothing_was_sent(closed_port: int) -> None:
    with pytest.raises(NotSent, match="refused"):
        get(f"http://127.0.0.1:{closed_port}")


def test_an_unknown_name_means_that_nothing_was_sent() -> None:
    with pytest.raises(NotSent, match="not known"):
        exchange(BaseUrl("https://no-such-host.invalid", insecure=False), "GET", "/", {}, None,
                 max_bytes=10)  # fmt: skip


def test_https_to_something_else_means_that_nothing_was_sent() -> None:
    with stub_server(says("200 OK")) as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(NotSent, match=r"TLS|closed|reset|broken"):
            get(url)


@pytest.mark.hostile("C03")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"\x15\x03\x01\x00\x02\x02\x50",
    ],
    ids=["nothing", "half", "ssh", "headers", "lengths", "tls"],
)
def test_what_is_no_whole_answer_is_none(data: bytes) -> None:
    with stub_server(sends(data)) as server, pytest.raises(NoAnswer):
        get(server.url)


@pytest.mark.hostile("C03")
def test_an_answer_without_end_is_cut() -> None:
    def endless(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")

    with stub_server(endless) as server, pytest.raises(NoAnswer, match=r"no end|over 1,000"):
        get(server.url)


def test_interim_answers_without_end_are_cut() -> None:
    def endless(connection: socket.socket, _request: bytes) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)

    with stub_server(endless) as server, pytest.raises(NoAnswer, match="no end"):
        get(server.url)


@pytest.mark.hostile("C03")
def test_a_byte_now_and_then_does_not_extend_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "REQUEST_SECONDS", 0.3)
    over = threading.Event()

    def drip(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not over.wait(0.02):
            connection.sendall(b"a")

    started = time.monotonic()
    with stub_server(drip) as server:
        with pytest.raises(NoAnswer, match="in time"):
            get(server.url)
        over.set()
    assert time.monotonic() - started < 2


@pytest.mark.hostile("C03")
def test_a_silent_server_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "REQUEST_SECONDS", 0.2)
    over = threading.Event()
    with stub_server(lambda _c, _r: over.wait(5) and None) as server:
        with pytest.raises(NoAnswer, match="in time"):
            get(server.url)
        over.set()


def test_a_refusal_is_read_though_the_body_was_not_taken() -> None:
    """A server that refuses by the head answers, and closes before the body is in."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    base = BaseUrl(f"http://127.0.0.1:{listener.getsockname()[1]}", insecure=False)
    reply = exchange(base, "POST", "/messages", {}, b"x" * 60_000, max_bytes=1000)
    thread.join()
    listener.close()
    assert reply.status == 413


def test_a_lost_connection_after_sending_is_an_unknown_outcome() -> None:
    with stub_server(hangs_up) as server, pytest.raises(NoAnswer, match="closed"):
        get(server.url)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("5", 5), ("0", 0), ("-1", 0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0), ("9" * 500, 0),
     ("999999", 3600)],
)  # fmt: skip
def test_retry_after_is_read_with_care(value: str, seconds: int) -> None:
    with stub_server(says("429 Slow", b"", f"Retry-After: {value}")) as server:
        assert get(server.url).retry_after == seconds


def test_a_token_that_would_break_the_request_is_not_sent() -> None:
    base = BaseUrl("http://127.0.0.1:1", insecure=False)
    with pytest.raises(NotSent, match="cannot be written"):
        exchange(base, "GET", "/", {"Authorization": "Bearer a\r\nX: y"}, None, max_bytes=10)


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8787", "ftp://127.0.0.1", "http://u:p@127.0.0.1", "http://127.0.0.1?x",
     "http://127.0.0.1#x", "http://[::1", "http://127.0.0.1:99999", "http:///x"],
)  # fmt: skip
def test_a_base_url_is_a_place_and_nothing_else(url: str) -> None:
    with pytest.raises(Misused):
        BaseUrl(url, insecure=True)


@pytest.mark.hostile("C05")
@pytest.mark.parametrize(
    "url", ["http://192.168.1.5:8787", "http://rooms.example", "http://127.0.0.1.evil.example",
            "http://localhost.evil.example", "http://[fe80::1]:8787", "http://0.0.0.0:8787"]
)  # fmt: skip
def test_a_token_does_not_go_to_another_machine_in_the_clear(url: str) -> None:
    with pytest.raises(Misused, match="--insecure"):
        BaseUrl(url, insecure=False)
    assert BaseUrl(url, insecure=True).text == url


def test_loopback_and_https_are_fine() -> None:
    for url in ("http://localhost:8787", "http://[::1]:8787", "https://rooms.example/a/b"):
        assert BaseUrl(url + "/", insecure=False).text == url
