"""Load on a broker from a process of its own, as ``clients`` is for a room.

    python -m tests.bench.public_load waits PORT METRICS_PORT PID ROUNDS COUNT SLUG …
    python -m tests.bench.public_load flood PORT PID COUNT SLUG

Each prints one JSON document.
"""

import json
import select
import socket
import sys
import time

from tests.bench.clients import (
    Connect,
    answer_to,
    connect,
    get_request,
    is_whole,
    last_id,
    post_request,
    received,
    resident_kib,
    settle,
)

FLOODING = 32


def waits(
    port: int,
    metrics_port: int,
    pid: int,
    rounds: int,
    count: int,
    slugs: list[str],
    connect: Connect = connect,
) -> dict[str, float]:
    """Hold ``count`` waits in each room, post one message to each, time all the answers."""
    posters = {slug: connect(port) for slug in slugs}
    for slug, poster in posters.items():
        last_id(poster, f"/{slug}")
    before_kib = resident_kib(pid)
    opening = time.perf_counter()
    poll = select.epoll()
    waiters: dict[int, tuple[socket.socket, str, int]] = {}
    for slug in slugs:
        for index in range(count):
            connection = connect(port)
            waiters[connection.fileno()] = connection, slug, 1 + index // 4
            poll.register(connection.fileno(), select.EPOLLIN)
    posting = {poster.fileno(): poster for poster in posters.values()}
    for descriptor in posting:
        poll.register(descriptor, select.EPOLLIN)
    first, last, post = [], [], []
    open_seconds = held_kib = 0.0
    for turn in range(rounds):
        since = {slug: last_id(posters[slug], f"/{slug}") for slug in slugs}
        for connection, slug, seat in waiters.values():
            connection.sendall(get_request(port, f"/{slug}/wait?since_id={since[slug]}", seat))
        until_held(metrics_port, len(waiters))
        if turn == 0:
            open_seconds = time.perf_counter() - opening
        for slug in slugs:
            settle(posters[slug], f"/{slug}")
        if turn == 0:
            held_kib = (resident_kib(pid) - before_kib) / len(waiters)
        start = time.perf_counter()
        for slug, poster in posters.items():
            poster.sendall(post_request(port, turn, f"/{slug}"))
        data: dict[int, bytes] = {}
        times = []
        left = waiters.keys() | posting.keys()
        while left:
            for descriptor, _ in poll.poll(1):
                now = time.perf_counter() - start
                connection = posting.get(descriptor) or waiters[descriptor][0]
                data[descriptor] = data.get(descriptor, b"") + received(connection)
                if not is_whole(data[descriptor]):
                    continue
                left.discard(descriptor)
                if descriptor in posting:
                    expect(data[descriptor], b"HTTP/1.1 201")
                    post.append(now)
                else:
                    expect(data[descriptor], b'"heartbeat":false')
                    times.append(now)
        first.append(times[0])
        last.append(times[-1])
    return {
        "open_s": open_seconds,
        "kib_per_wait": held_kib,
        "first_ms": 1000 * sorted(first)[rounds // 2],
        "last_ms": 1000 * sorted(last)[rounds // 2],
        "post_ms": 1000 * sorted(post)[len(post) // 2],
        "worst_post_ms": 1000 * max(post),
    }


def expect(answer: bytes, part: bytes) -> None:
    if part not in answer:
        raise SystemExit(f"unexpected answer: {answer[:400]!r}")


def until_held(metrics_port: int, count: int) -> None:
    """Return when the broker says that so many waits are held."""
    request = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with connect(metrics_port) as connection:
        while True:
            if b"agentgather_broker_waits_held %d.0\n" % count in answer_to(connection, request):
                return
            time.sleep(0.01)


def flood(port: int, pid: int, count: int, slug: str) -> dict[str, float]:
    """Ask so often, each time from another address: for a new slug, or with a new token."""
    before_kib = resident_kib(pid)
    poll = select.epoll()
    connections = {}
    for _ in range(FLOODING):
        connection = connect(port)
        connections[connection.fileno()] = connection
        poll.register(connection.fileno(), select.EPOLLIN)
    begun = dict.fromkeys(connections, b"")
    start = time.perf_counter()
    asked = answered = 0
    for connection in connections.values():
        connection.sendall(flooding_request(asked, slug))
        asked += 1
    while answered < count:
        for descriptor, _ in poll.poll(1):
            begun[descriptor] += received(connections[descriptor])
            if is_whole(begun[descriptor]):
                begun[descriptor] = b""
                answered += 1
                connections[descriptor].sendall(flooding_request(asked, slug))
                asked += 1
    seconds = time.perf_counter() - start
    return {"per_second": count / seconds, "mib": (resident_kib(pid) - before_kib) / 1024}


def flooding_request(number: int, slug: str) -> bytes:
    asked = f"/room-{number}/messages" if number % 2 else f"/{slug}/messages"
    # A /64 each: that is one client.
    address = f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1"
    return (
        f"GET {asked} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: {address}\r\n"
        f"Authorization: Bearer made-up-{number}\r\n\r\n"
    ).encode()


def main() -> None:
    what, *rest = sys.argv[1:]
    result: dict[str, float]
    if what == "waits":
        port, metrics_port, pid, rounds, count = map(int, rest[:5])
        result = waits(port, metrics_port, pid, rounds, count, rest[5:])
    else:
        result = flood(int(rest[0]), int(rest[1]), int(rest[2]), rest[3])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
