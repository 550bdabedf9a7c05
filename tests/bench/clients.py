"""Load from a process of its own: raw sockets and epoll, so that the client costs little.

    python -m tests.bench.clients posts PORT CONNECTIONS SECONDS [PREFIX]
    python -m tests.bench.clients gets PORT CONNECTIONS SECONDS PATH [TOKEN]

Each prints one JSON document. PREFIX is what a path has before it at a broker: /SLUG.
"""

import json
import select
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench.seeds import PARTICIPANTS, token

HEAD_END = b"\r\n\r\n"
Connect = Callable[[int], socket.socket]


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def port_of(connection: socket.socket) -> int:
    port: int = connection.getpeername()[1]
    return port


def post_request(port: int, number: int, prefix: str = "") -> bytes:
    bearer = token(1 + number % (PARTICIPANTS - 1))
    return json_request(
        port, f"{prefix}/messages", bearer, {"text": f"measure {number} " + "y" * 180}
    )


def json_request(port: int, path: str, bearer: str, document: dict[str, str]) -> bytes:
    body = json.dumps(document).encode()
    return (
        b"POST %b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (path.encode(), port, bearer.encode(), len(body), body)
    )


def get_request(port: int, path: str, index: int, bearer: str = "") -> bytes:
    """Ask as a client does: the Host is where the room says that it is."""
    bearer = bearer or token(index)
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    ).encode()


def is_whole(data: bytes) -> bool:
    head, separator, body = data.partition(HEAD_END)
    if not separator:
        return False
    at = head.lower().find(b"content-length:")
    return at >= 0 and len(body) >= int(head[at + 15 :].split(b"\r\n", 1)[0])


def answer_to(connection: socket.socket, request: bytes) -> bytes:
    """Send a request and give its whole answer; the connection stays."""
    connection.sendall(request)
    return whole_answer(connection)


def whole_answer(connection: socket.socket) -> bytes:
    """Give the answer to what was asked last."""
    data = b""
    while not is_whole(data):
        data += received(connection)
    return data


def received(connection: socket.socket) -> bytes:
    """Give what comes next; a server that has gone ends whoever asks."""
    data = connection.recv(1 << 20)
    if not data:
        raise ConnectionError("the server has closed a connection")
    return data


def download(connection: socket.socket, path: str) -> tuple[int, float]:
    """Read an answer to the connection's end; give its bytes and the seconds that it took."""
    start = time.perf_counter()
    request = get_request(port_of(connection), path, 0)
    request = request.replace(HEAD_END, b"\r\nConnection: close" + HEAD_END)
    connection.sendall(request)
    size = 0
    room = bytearray(1 << 18)
    while count := connection.recv_into(room):
        size += count
    return size, time.perf_counter() - start


def closed_loop(
    port: int,
    connections: int,
    seconds: float,
    request: Callable[[int], bytes],
    status: bytes,
    connect: Connect = connect,
) -> dict[str, float]:
    """Keep one request in flight on each connection for so long."""
    poll = select.epoll()
    open_connections = {c.fileno(): c for c in (connect(port) for _ in range(connections))}
    sent_at: dict[int, float] = {}
    begun: dict[int, bytes] = {}
    times: list[float] = []
    number = 0
    start = time.perf_counter()
    for descriptor, connection in open_connections.items():
        poll.register(descriptor, select.EPOLLIN)
        number += 1
        sent_at[descriptor] = time.perf_counter()
        begun[descriptor] = b""
        connection.sendall(request(number))
    end = start + seconds
    now = start
    while now < end:
        for descriptor, _ in poll.poll(0.1):
            data = begun[descriptor] + received(open_connections[descriptor])
            if not is_whole(data):
                begun[descriptor] = data
                continue
            if not data.startswith(b"HTTP/1.1 " + status):
                raise SystemExit(f"unexpected answer: {data[:400]!r}")
            now = time.perf_counter()
            times.append(now - sent_at[descriptor])
            begun[descriptor] = b""
            number += 1
            sent_at[descriptor] = now
            open_connections[descriptor].sendall(request(number))
        now = time.perf_counter()
    times.sort()
    return {
        "count": len(times),
        "per_second": len(times) / (now - start),
        "p50_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[int(len(times) * 0.99)],
    }


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def last_id(connection: socket.socket, prefix: str = "") -> int:
    data = answer_to(
        connection,
        get_request(port_of(connection), f"{prefix}/messages?before_id=999999999999999&limit=1", 0),
    )
    messages = json.loads(data.partition(HEAD_END)[2])["messages"]
    return int(messages[-1]["id"]) if messages else 0


def settle(connection: socket.socket, prefix: str = "") -> None:
    """Return when the server has read all that was sent: it answers quickly again."""
    quick = 0
    while quick < 5:
        start = time.perf_counter()
        last_id(connection, prefix)
        quick = quick + 1 if time.perf_counter() - start < 0.005 else 0
        time.sleep(0.02)


def main() -> None:
    what, port, *rest = sys.argv[1:]
    if what == "posts":
        prefix = rest[2] if len(rest) > 2 else ""
        request = partial(post_request, int(port), prefix=prefix)
        result = closed_loop(int(port), int(rest[0]), float(rest[1]), request, b"201")
    else:
        asked = get_request(int(port), rest[2], 1, rest[3] if len(rest) > 3 else "")
        result = closed_loop(int(port), int(rest[0]), float(rest[1]), lambda _: asked, b"200")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
