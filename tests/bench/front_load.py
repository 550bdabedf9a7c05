"""Load over TLS, as participants bring it to the proxy in front of a broker.

    python -m tests.bench.front_load AUTHORITY posts PORT CONNECTIONS SECONDS PREFIX
    python -m tests.bench.front_load AUTHORITY gets PORT CONNECTIONS SECONDS PATH
    python -m tests.bench.front_load AUTHORITY commands PORT COUNT PATH
    python -m tests.bench.front_load AUTHORITY waits PORT METRICS_PORT PID ROUNDS COUNT SLUG …
    python -m tests.bench.front_load AUTHORITY stream PORT PATH

AUTHORITY is the file of the proxy's certificate authority; with ``-`` there is no TLS, and PORT
is the broker's. Each prints one JSON document.
"""

import json
import socket
import ssl
import sys
import time
from functools import partial

from tests.bench import clients
from tests.bench.clients import Connect, answer_to, closed_loop, download, get_request, post_request
from tests.bench.public_load import waits

NAME = "127.0.0.1"
"""Of the certificate, and what the requests of all loads are to: their Host."""


def connect_with(context: ssl.SSLContext, port: int) -> socket.socket:
    """Give a connection that has had an answer.

    The server's session tickets are read with it: later they would look like news.
    """
    connection = greet(context, port)
    answer_to(connection, get_request(port, "/healthz", 0))
    return connection


def greet(context: ssl.SSLContext, port: int) -> socket.socket:
    return context.wrap_socket(clients.connect(port), server_hostname=NAME)


def commands(connect: Connect, port: int, count: int, path: str) -> dict[str, float]:
    """Ask so often one after the other, each time anew, as an agent's ``curl`` does."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        with connect(port) as connection:
            answer_to(connection, get_request(port, path, 1))
        times.append(time.perf_counter() - start)
    times.sort()
    return {"p50_ms": 1000 * times[count // 2], "p99_ms": 1000 * times[int(count * 0.99)]}


def stream(connect: Connect, port: int, path: str) -> dict[str, float]:
    """Read one answer to its end, which is the connection's."""
    with connect(port) as connection:
        size, seconds = download(connection, path)
    return {"bytes": size, "seconds": seconds}


def main() -> None:
    authority, what, *rest = sys.argv[1:]
    connect = first = clients.connect
    if authority != "-":
        context = ssl.create_default_context(cafile=authority)
        connect, first = partial(connect_with, context), partial(greet, context)
    port = int(rest[0])
    result: dict[str, float]
    if what == "waits":
        metrics_port, pid, rounds, count = map(int, rest[1:5])
        result = waits(port, metrics_port, pid, rounds, count, rest[5:], connect)
    elif what == "stream":
        result = stream(first, port, rest[1])
    elif what == "commands":
        result = commands(first, port, int(rest[1]), rest[2])
    else:
        prefix = rest[3]
        asked = get_request(port, prefix, 1)
        request, status = (
            (partial(post_request, port, prefix=prefix), b"201")
            if what == "posts"
            else (lambda _: asked, b"200")
        )
        result = closed_loop(port, int(rest[1]), float(rest[2]), request, status, connect)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
