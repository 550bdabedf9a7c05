"""What the HTTP edge gains and costs, step by step. Run by hand; it takes some minutes.

    python tests/bench/edge_steps.py [--quick]

Each server is a process of its own on the first core, the load another on the last. A
"put back" row is our server with one step undone, so its loss is what that step brings; a
"left out" row lacks one check, so its gain is what that check costs. Rounds are interleaved,
and the median of them is shown, because machines are noisy.
"""

import functools
import json
import os
import resource
import select
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

import h11  # noqa: E402
import hypercorn.trio  # noqa: E402
import trio  # noqa: E402
from hypercorn.config import Config  # noqa: E402

from agentgather.edge import acceptor, exchange, line, request_head, serve  # noqa: E402
from tests.bench.clients import connect  # noqa: E402
from tests.bench.http_load import get  # noqa: E402

FIELDS = [
    (b"content-type", b"application/json; charset=utf-8"),
    (b"content-length", b"5"),
    *((b"x-security-%d" % number, b"v" * 60) for number in range(6)),
]
"""As many as an answer of the room has."""


async def hello(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": (await receive())["type"] + ".complete"})
        return
    if scope["path"] == "/held":
        with trio.move_on_after(600) as scope["hold"]:
            holds.append(scope["hold"])
            while (await receive())["type"] != "http.disconnect":
                pass
            return
    await send({"type": "http.response.start", "status": 200, "headers": FIELDS})
    await send({"type": "http.response.body", "body": b"hello"})


holds: list[trio.CancelScope] = []


def release() -> None:
    for hold in holds:
        hold.cancel()


def quart_hello() -> Any:
    from quart_trio import QuartTrio  # the other servers do without

    app = QuartTrio("hello")

    async def index() -> str:
        return "hello"

    app.add_url_rule("/", view_func=index)
    return app


# --- Steps undone ---------------------------------------------------------------------


def as_it_is() -> None:
    """Undo nothing."""


def two_writes() -> None:
    """Head and body in a write each."""
    first = exchange.AnswerFraming.first
    write = line.Line.write

    def with_mark(self: Any, *arguments: Any, **options: Any) -> bytes:
        return first(self, *arguments, **options).replace(b"\r\n\r\n", b"\r\n\r\n\0", 1)

    async def write_parts(self: Any, data: bytes) -> None:
        for part in data.split(b"\0"):
            await write(self, part)

    exchange.AnswerFraming.first = with_mark
    line.Line.write = write_parts


def answers_by_h11() -> None:
    """The answer's bytes from h11, which checks each header twice."""

    def first(self: Any, status: int, headers: Any, body: bytes, *, more: bool) -> bytes:
        parser = h11.Connection(h11.SERVER)
        parser.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        parser.next_event()
        parser.next_event()
        head = parser.send(h11.Response(status_code=status, headers=list(headers))) or b""
        data = parser.send(h11.Data(data=body)) or b""
        return head + data + (parser.send(h11.EndOfMessage()) or b"")

    exchange.AnswerFraming.first = first


def trio_stream() -> None:
    """trio's own stream: a read asks before it waits, a write yields after it."""

    class Stream(serve.Peer):
        __slots__ = ("stream",)

        def __init__(self, sock: socket.socket) -> None:
            super().__init__(sock)
            self.stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))

        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            return bytes(await self.stream.receive_some(max_bytes))

    async def write(self: Any, data: bytes) -> None:
        await self.peer.stream.send_all(data)

    serve.Peer = Stream
    line.Line.write = write


def scope_per_wait() -> None:
    """A cancel scope for each wait of a request, and none moved."""
    read = line.Line.read

    async def read_within(self: Any, max_bytes: int = 65536) -> bytes:
        with trio.move_on_after(75):
            return await read(self, max_bytes)
        return b""

    line.Line.read = read_within
    line.Line.expect_within = lambda self, seconds: None


def task_per_request() -> None:
    """The application in a task of its own, spoken to through a channel."""
    from agentgather.edge import connection

    answer = connection.Connection._answer

    async def in_a_task(self: Any, found: Any, head: Any) -> None:
        application = self._application
        into, out = trio.open_memory_channel[Any](10)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(application, scope, out.receive, send)
                await into.send(await receive())

        self._application = app
        try:
            await answer(self, found, head)
        finally:
            self._application = application

    connection.Connection._answer = in_a_task


def no_shape() -> None:
    """No check of the head's bytes."""
    request_head.check_lines = lambda data, line_end: None


def one_accept() -> None:
    """One connection accepted each turn."""
    acceptor.ACCEPT_BURST = 1


STEPS: dict[str, tuple[str, Callable[[], None]]] = {
    "ours": ("serve_http", as_it_is),
    "two_writes": ("  put back: two writes", two_writes),
    "answers_by_h11": ("  put back: answers by h11", answers_by_h11),
    "trio_stream": ("  put back: trio's stream", trio_stream),
    "scope_per_wait": ("  put back: a scope per wait", scope_per_wait),
    "task_per_request": ("  put back: a task per request", task_per_request),
    "no_shape": ("  left out: the shape of the head", no_shape),
}


# --- Servers --------------------------------------------------------------------------


def run_server(kind: str) -> None:
    """Serve until SIGTERM; print the port first, and how long stopping took last."""
    stopping = trio.Event()
    sockets = serve.open_listener("127.0.0.1", 0)
    print(sockets[0].getsockname()[1], flush=True)
    app = quart_hello() if "quart" in kind else hello
    times: list[float] = []

    async def watch() -> None:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                times.append(time.perf_counter())
                stopping.set()
                return

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            if kind.startswith("bare"):
                config = Config()
                config.bind = [f"fd://{sockets[0].fileno()}"]
                config.errorlog = None
                config.backlog = 4096
                config.keep_alive_max_requests = 1 << 62
                await hypercorn.trio.serve(app, config, shutdown_trigger=stopping.wait)  # type: ignore[arg-type]
            else:
                await serve.serve_http(app, sockets, stop=stopping, on_stop=release)

    if kind in STEPS:
        STEPS[kind][1]()
    if kind == "one_accept":
        one_accept()
    trio.run(main)
    print(1000 * (time.perf_counter() - times[0]), flush=True)


def pin(core: int) -> None:
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[core]})


@contextmanager
def server(kind: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, __file__, "serve", kind],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        preexec_fn=functools.partial(pin, 0),
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    try:
        while True:
            with connect(port) as probe:
                probe.sendall(get("/"))
                if probe.recv(65536):
                    break
        yield port, process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate()


def load(port: int, connections: int, seconds: float) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.http_load", str(port), str(connections), str(seconds)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=functools.partial(pin, -1),
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


# --- Measurements ---------------------------------------------------------------------


def measure_requests(rounds: int, seconds: float) -> None:
    rows = {
        "bare": "bare hypercorn, raw ASGI",
        "bare_quart": "bare hypercorn, quart-trio",
        "ours_quart": "serve_http, quart-trio",
        **{name: text for name, (text, _) in STEPS.items()},
    }
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    for _ in range(rounds):
        for kind in rows:
            with server(kind) as (port, _):
                for connections in (1, 32, 256):
                    result = load(port, connections, seconds)
                    found.setdefault((kind, connections), []).append(result)
    print(
        f"{'requests/s':36} {'1':>9} {'p50 ms':>8} {'32':>9} {'p99 ms':>8} {'256':>9} {'p99 ms':>8}"
    )
    for kind, text in rows.items():
        cells = []
        for connections, percentile in ((1, "p50_ms"), (32, "p99_ms"), (256, "p99_ms")):
            runs = found[kind, connections]
            rate = statistics.median(run["per_second"] for run in runs)
            delay = statistics.median(run[percentile] for run in runs)
            cells.append(f"{rate:>9,.0f} {delay:>8.2f}")
        print(f"{text:36} {' '.join(cells)}", flush=True)


def measure_new_connections(rounds: int) -> None:
    """Each request on a connection of its own, 64 at once."""
    for kind in ("bare", "ours", "one_accept"):
        rates = []
        for _ in range(rounds):
            with server(kind) as (port, _):
                rates.append(connect_and_ask(port, 64, 3000))
        name = {"bare": "bare hypercorn", "ours": "serve_http"}.get(
            kind, "  put back: one accept a turn"
        )
        print(f"{'connections/s, ' + name:50} {statistics.median(rates):>9,.0f}", flush=True)


def connect_and_ask(port: int, at_once: int, total: int) -> float:
    poll = select.epoll()
    asking: dict[int, socket.socket] = {}
    request = get("/").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    begun = done = 0
    start = time.perf_counter()
    while done < total:
        while len(asking) < at_once and begun < total:
            one = connect(port)
            one.sendall(request)
            asking[one.fileno()] = one
            poll.register(one.fileno(), select.EPOLLIN)
            begun += 1
        for descriptor, _ in poll.poll(1):
            if not asking[descriptor].recv(65536):
                poll.unregister(descriptor)
                asking.pop(descriptor).close()
                done += 1
    return total / (time.perf_counter() - start)


def resident_kib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0])


def measure_held(count: int) -> None:
    """Hold so many connections, idle or in a wait, and stop."""
    for kind in ("bare", "ours"):
        for path in ("/", "/held"):
            with server(kind) as (port, process):
                before = resident_kib(process.pid)
                start = time.perf_counter()
                held = []
                for _ in range(count):
                    one = connect(port)
                    one.sendall(get(path))
                    held.append(one)
                if path == "/":
                    for one in held:
                        one.recv(65536)
                while connect_and_ask(port, 1, 1) < 100:
                    pass
                opened = time.perf_counter() - start
                memory = (resident_kib(process.pid) - before) / count
                what = "waits held" if path == "/held" else "connections idle"
                print(
                    f"{kind}: {count:,} {what:18} {memory:5.1f} KiB each, opened in {opened:.2f} s",
                    flush=True,
                )
                for one in held:
                    one.close()


def measure_stop(count: int) -> None:
    """Stop with so many waits held and 50 idle; count the answers."""
    with server("ours") as (port, process):
        held = [connect(port) for _ in range(count)]
        for one in held:
            one.sendall(get("/held"))
        idle = [connect(port) for _ in range(50)]
        while connect_and_ask(port, 1, 1) < 100:
            pass
        process.terminate()
        answered = sum(b"hello" in one.recv(65536) for one in held)
        out, _ = process.communicate()
        print(
            f"stop with {count:,} waits held: {float(out):.0f} ms, {answered:,} answered",
            flush=True,
        )
        for one in held + idle:
            one.close()


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        run_server(sys.argv[2])
        return
    quick = "--quick" in sys.argv
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    measure_requests(1 if quick else 5, 1.0 if quick else 2.0)
    measure_new_connections(1 if quick else 3)
    for count in (1000,) if quick else (1000, 5000, 10_000):
        measure_held(count)
    for count in (100, 1000) if quick else (100, 1000, 5000):
        measure_stop(count)


if __name__ == "__main__":
    main()
