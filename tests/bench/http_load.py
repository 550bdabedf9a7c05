"""Ask one server the same question on N kept-alive connections, as fast as it answers.

    python -m tests.bench.http_load PORT CONNECTIONS SECONDS [PATH]

One request is in flight per connection. A process of its own, raw sockets and epoll, so
that the client costs the server nothing but its core. It prints one JSON document.
"""

import json
import select
import sys
import time

from tests.bench.clients import answer_to, connect, received

WARM_UP_SECONDS = 0.3


def answer_size(port: int, request: bytes) -> int:
    """Ask once, slowly; every later answer has as many bytes."""
    with connect(port) as connection:
        data = answer_to(connection, request)
        if not data.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"unexpected answer: {data[:400]!r}")
        return len(data)


def load(port: int, connections: int, seconds: float, request: bytes) -> dict[str, float]:
    """Give requests per second and the answer times' 50th and 99th percentile."""
    size = answer_size(port, request)
    poll = select.epoll()
    opened = {}
    for _ in range(connections):
        connection = connect(port)
        opened[connection.fileno()] = connection
        poll.register(connection.fileno(), select.EPOLLIN)
    left = dict.fromkeys(opened, size)
    sent_at = {}
    clock = time.perf_counter
    for descriptor, connection in opened.items():
        sent_at[descriptor] = clock()
        connection.sendall(request)
    times: list[float] = []
    start = clock() + WARM_UP_SECONDS
    end = start + seconds
    now = 0.0
    while now < end:
        for descriptor, _ in poll.poll(1):
            connection = opened[descriptor]
            left[descriptor] -= len(received(connection))
            if left[descriptor]:
                continue
            now = clock()
            if now >= start:
                times.append(now - sent_at[descriptor])
            left[descriptor] = size
            sent_at[descriptor] = now
            connection.send(request)
        now = clock()
    times.sort()
    return {
        "per_second": len(times) / seconds,
        "p50_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[int(len(times) * 0.99)],
    }


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n".encode()


def main() -> None:
    port, connections, seconds, *path = sys.argv[1:]
    request = get(path[0] if path else "/")
    print(json.dumps(load(int(port), int(connections), float(seconds), request)))


if __name__ == "__main__":
    main()
