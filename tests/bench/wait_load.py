"""Held waits, from a process of its own, as ``clients`` has the other loads.

    python -m tests.bench.wait_load waits PORT COUNT ROUNDS SERVER_PID
    python -m tests.bench.wait_load latency PORT ROUNDS
    python -m tests.bench.wait_load hold PORT COUNT SECONDS SERVER_PID

Each prints one JSON document.
"""

import json
import select
import sys
import time

from tests.bench.clients import (
    HEAD_END,
    connect,
    get_request,
    is_whole,
    last_id,
    post_request,
    received,
    resident_kib,
    settle,
    whole_answer,
)
from tests.bench.processes import cpu_seconds
from tests.bench.seeds import PARTICIPANTS


def waits(port: int, count: int, rounds: int, pid: int) -> dict[str, float]:
    """Hold ``count`` waits, post, and time until the last has its answer; a bystander asks on."""
    poster = connect(port)
    bystander = connect(port)
    before_kib = resident_kib(pid)
    poll = select.epoll()
    waiters = []
    opened = time.perf_counter()
    for _ in range(count):
        connection = connect(port)
        waiters.append(connection)
        poll.register(connection.fileno(), select.EPOLLIN)
    by_descriptor = {c.fileno(): (i, c) for i, c in enumerate(waiters)}
    beside_them = get_request(port, "/messages?since_id=0&limit=1", PARTICIPANTS - 1)
    since = last_id(poster)
    first, last, beside = [], [], []
    held_kib = 0.0
    open_seconds = 0.0
    for turn in range(rounds):
        for index, connection in enumerate(waiters):
            path = f"/wait?since_id={since}"
            connection.sendall(get_request(port, path, 1 + index // 4))
        settle(poster)
        if turn == 0:
            open_seconds = time.perf_counter() - opened
            held_kib = (resident_kib(pid) - before_kib) / count
        poster.sendall(post_request(port, turn))
        start = time.perf_counter()
        bystander.sendall(beside_them)
        asked = start
        poll.register(bystander.fileno(), select.EPOLLIN)
        waiting = set(by_descriptor)
        data: dict[int, bytes] = {}
        times = []
        while waiting:
            for descriptor, _ in poll.poll(1):
                now = time.perf_counter()
                if descriptor == bystander.fileno():
                    bystander.recv(1 << 16)
                    beside.append(now - asked)
                    bystander.sendall(beside_them)
                    asked = time.perf_counter()
                    continue
                _, connection = by_descriptor[descriptor]
                data[descriptor] = data.get(descriptor, b"") + received(connection)
                if is_whole(data[descriptor]):
                    if b'"heartbeat":false' not in data[descriptor]:
                        raise SystemExit(f"no news in {data[descriptor]!r}")
                    times.append(now - start)
                    waiting.discard(descriptor)
        poll.unregister(bystander.fileno())
        bystander.recv(1 << 16)
        first.append(times[0])
        last.append(times[-1])
        poster.recv(1 << 16)
        since = last_id(poster)
    beside.sort()
    return {
        "open_s": open_seconds,
        "kib_per_wait": held_kib,
        "first_ms": 1000 * sorted(first)[rounds // 2],
        "last_ms": 1000 * sorted(last)[rounds // 2],
        "bystander_p99_ms": 1000 * beside[int(len(beside) * 0.99)],
    }


def latency(port: int, rounds: int) -> dict[str, float]:
    """Time from a post to the answer of the one wait that it wakes."""
    poster, waiter = connect(port), connect(port)
    since = last_id(poster)
    times = []
    for turn in range(rounds):
        waiter.sendall(get_request(port, f"/wait?since_id={since}", 1))
        # The wait has to be held before the post; nothing tells us, so it gets its time.
        time.sleep(0.005)
        start = time.perf_counter()
        poster.sendall(post_request(port, turn))
        data = whole_answer(waiter)
        times.append(time.perf_counter() - start)
        since = json.loads(data.partition(HEAD_END)[2])["next_since_id"]
        poster.recv(1 << 16)
    times.sort()
    return {"p50_ms": 1000 * times[rounds // 2], "p99_ms": 1000 * times[int(rounds * 0.99)]}


def hold(port: int, count: int, seconds: float, pid: int) -> dict[str, float]:
    """Hold so many waits in a room where nothing happens; each that ends is asked again.

    Gives what the server took in so many seconds, and how often it was asked again.
    """
    asking = connect(port)
    since = last_id(asking)
    poll = select.epoll()
    requests = {}
    for index in range(count):
        connection = connect(port)
        poll.register(connection.fileno(), select.EPOLLIN)
        requests[connection.fileno()] = (
            connection,
            get_request(port, f"/wait?since_id={since}", 1 + index // 4),
        )
        connection.sendall(requests[connection.fileno()][1])
    settle(asking)
    again = 0
    before, start = cpu_seconds(pid), time.perf_counter()
    while (left := start + seconds - time.perf_counter()) > 0:
        for descriptor, _ in poll.poll(left):
            connection, request = requests[descriptor]
            # A heartbeat is short, and comes whole.
            if not is_whole(connection.recv(1 << 16)):
                raise SystemExit("half an answer to a wait")
            connection.sendall(request)
            again += 1
    taken = cpu_seconds(pid) - before
    return {"cpu_s": taken, "seconds": time.perf_counter() - start, "asked_again": again}


def main() -> None:
    what, port, *rest = sys.argv[1:]
    if what == "latency":
        result = latency(int(port), int(rest[0]))
    elif what == "hold":
        result = hold(int(port), int(rest[0]), float(rest[1]), int(rest[2]))
    else:
        result = waits(int(port), int(rest[0]), int(rest[1]), int(rest[2]))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
