"""Requests at a steady pace, one at a time, from a process of its own.

    python -m tests.bench.paced_load PORT SECONDS PER_SECOND gets PATH
    python -m tests.bench.paced_load PORT SECONDS PER_SECOND posts

So each moment counts alike, however quick the answers are. It prints one JSON document.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial

from tests.bench.clients import answer_to, connect, get_request, post_request


def paced(
    port: int, seconds: float, per_second: float, request: Callable[[int], bytes], status: bytes
) -> dict[str, float]:
    times: list[float] = []
    with connect(port) as connection:
        start = time.perf_counter()
        while (due := start + len(times) / per_second) < start + seconds:
            time.sleep(max(0.0, due - time.perf_counter()))
            # One that is late, because the one before was slow, counts from when it was due.
            asked = min(due, time.perf_counter()) if times else time.perf_counter()
            data = answer_to(connection, request(len(times)))
            if not data.startswith(b"HTTP/1.1 " + status):
                raise SystemExit(f"unexpected answer: {data[:400]!r}")
            times.append(time.perf_counter() - asked)
    times.sort()
    return {
        "count": len(times),
        "p50_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[int(len(times) * 0.99)],
        "worst_ms": 1000 * times[-1],
    }


def main() -> None:
    port, seconds, per_second, what, *rest = sys.argv[1:]
    request: Callable[[int], bytes] = partial(post_request, int(port))
    status = b"201"
    if what == "gets":
        asked = get_request(int(port), rest[0], 1)
        request, status = lambda _: asked, b"200"
    print(json.dumps(paced(int(port), float(seconds), float(per_second), request, status)))


if __name__ == "__main__":
    main()
