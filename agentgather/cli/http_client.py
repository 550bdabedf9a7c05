"""One HTTP request on a connection of its own, whole within a deadline.

A socket and h11 instead of ``http.client``: there each read has a time of its own, so a
peer that sends a byte now and then would hold a command for ever. No proxy of the
environment is used, and no redirect is followed: both would carry the token elsewhere.
"""

import socket
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

import h11

from agentgather.cli.base_url import BaseUrl

REQUEST_SECONDS: Final = 35
"""One request, whole: the longest hold and a slow network."""
CONNECT_SECONDS: Final = 10
"""One address of the server; a name may have several."""
MAX_RETRY_AFTER: Final = 3600
"""Seconds. A peer that names more is asked again after an hour."""
# After a laptop's sleep the other end may be gone without a word: found out within
# 5 + 3 * 3 = 14 s, where the end of the hold would take up to 35.
_KEEP_ALIVE: Final = (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 3))
_CHUNK_BYTES: Final = 64 * 1024
_MAX_HEAD_BYTES: Final = 32 * 1024


class Reply(NamedTuple):
    """An answer as it came. ``retry_after`` is in seconds, 0 where the peer names none."""

    status: int
    body: bytes
    retry_after: int


class NotSent(Exception):
    """Nothing was sent: nobody listens there, or it is not who it should be."""


class NoAnswer(Exception):
    """The request was sent, at least in part, and no whole answer came."""


def exchange(
    base: BaseUrl,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes | None,
    *,
    max_bytes: int,
) -> Reply:
    """Send a request, and give its whole answer of at most ``max_bytes``.

    Raises:
        NotSent: the request never left.
        NoAnswer: it did, perhaps in part.

    """
    deadline = time.monotonic() + REQUEST_SECONDS
    sending = {"Host": base.netloc, "User-Agent": "agentgather", "Connection": "close", **headers}
    if body is not None:
        sending["Content-Length"] = str(len(body))
    machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
    try:
        head = h11.Request(
            method=method, target=base.prefix + target, headers=list(sending.items())
        )
        data = (machine.send(head) or b"") + (machine.send(h11.Data(data=body or b"")) or b"")
        data += machine.send(h11.EndOfMessage()) or b""
    except h11.LocalProtocolError as error:
        raise NotSent(f"the request cannot be written: {error}") from None
    connection = _connect(base, deadline)
    try:
        try:
            connection.settimeout(_left(deadline))
            connection.sendall(data)
        except OSError as error:
            # A server that refuses a long body answers before it has read it.
            return _read_or(connection, machine, deadline, max_bytes, _reason(error))
        return _read(connection, machine, deadline, max_bytes)
    finally:
        connection.close()


def _connect(base: BaseUrl, deadline: float) -> socket.socket:
    try:
        addresses = socket.getaddrinfo(base.host, base.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotSent(f"the name {base.host} is not known") from None
    problem = "no address"
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(min(CONNECT_SECONDS, _left(deadline)))
            connection.connect(address)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEP_ALIVE:
                if hasattr(socket, name):
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
            return _wrap(connection, base.host) if base.is_tls else connection
        except OSError as error:
            connection.close()
            problem = _reason(error)
        except BaseException:
            connection.close()
            raise
    raise NotSent(problem)


def _wrap(connection: socket.socket, host: str) -> socket.socket:
    # Here, because a room on this machine needs no TLS, and it costs 10 ms.
    import ssl

    try:
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        raise OSError(0, f"its certificate is not valid: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise OSError(0, f"it does not speak TLS: {error.reason}") from None


def _read_or(
    connection: socket.socket,
    machine: h11.Connection,
    deadline: float,
    max_bytes: int,
    problem: str,
) -> Reply:
    try:
        return _read(connection, machine, deadline, max_bytes)
    except NoAnswer:
        raise NoAnswer(problem) from None


def _read(
    connection: socket.socket, machine: h11.Connection, deadline: float, max_bytes: int
) -> Reply:
    response: h11.Response | None = None
    body = bytearray()
    received = 0
    try:
        while True:
            event = machine.next_event()
            if event is h11.NEED_DATA:
                connection.settimeout(_left(deadline))
                data = connection.recv(_CHUNK_BYTES)
                received += len(data)
                # Chunk heads and interim answers count too.
                if received > 2 * max_bytes + _MAX_HEAD_BYTES:
                    raise NoAnswer("the answer has no end")
                machine.receive_data(data)
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > max_bytes:
                    raise NoAnswer(f"the answer is over {max_bytes:,} bytes")
            elif isinstance(event, h11.EndOfMessage):
                assert response is not None
                return Reply(response.status_code, bytes(body), _retry_after(response))
            elif not isinstance(event, h11.InformationalResponse):
                raise NoAnswer("the connection was closed")
    except h11.RemoteProtocolError:
        raise NoAnswer(
            "the connection was closed" if not received else "the answer is no whole HTTP answer"
        ) from None
    except OSError as error:
        raise NoAnswer(_reason(error)) from None


def _retry_after(response: h11.Response) -> int:
    text = dict(response.headers).get(b"retry-after", b"")
    # 9 digits: int() of a long number takes time.
    return min(int(text), MAX_RETRY_AFTER) if text.isdigit() and len(text) <= 9 else 0


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    reason = error.strerror or type(error).__name__
    return reason[0].lower() + reason[1:]
