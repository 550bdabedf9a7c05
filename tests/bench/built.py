"""The built program's two forms, in turns with the virtual environment that they are built from."""

import os
import platform
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from agentgather import __version__
from tests.bench.clients import connect, get_request, resident_kib
from tests.bench.figures import Figure, Row, Rows
from tests.bench.processes import REPOSITORY, SCRIPT, end, free_port

FILE: Final = REPOSITORY / "dist" / f"agentgather-{__version__}-linux-{platform.machine()}"
TARBALL: Final = FILE.with_name(f"{FILE.name}.tar.gz")
IDLE_SECONDS: Final = 10
"""By then a server has loaded all that it loads of itself, the page's renderer above all."""

SINGLE: Final = "single file"
VERSION: Final = "`agentgather --version`"
FIRST: Final = "`agentgather --version` at the first start"
SEND: Final = "`agentgather send` to a room that is served"
START: Final = "from the start until `/healthz` says 200"
LIMITS: Final = {
    VERSION: (50, "Python itself, and click"),
    FIRST: (400, "inflating 36 MB on one core, then the disk"),
    SEND: (80, "loading the modules of the command, before it connects"),
    START: (800, "loading the server's modules"),
}
"""What is wanted at most, in milliseconds, and what it is made of."""
FILE_VERSION_MS: Final = 60


class Form(NamedTuple):
    """A way to have the program, with a home of its own in ``folder``."""

    name: str
    program: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.defpath,
            "AGENTGATHER_HOME": str(self.folder / "home"),
            "AGENTGATHER_UNPACK_DIR": str(self.folder / "cache"),
        }

    def run(self, *arguments: str) -> float:
        """Run a command and say how many milliseconds it took."""
        begin = time.perf_counter()
        subprocess.run(
            [self.program, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return 1000 * (time.perf_counter() - begin)

    @contextmanager
    def serving(self, *command: str) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
        """Run a server; gives the process, and the milliseconds until it was healthy."""
        port = free_port()
        begin = time.perf_counter()
        server = subprocess.Popen(
            [self.program, *command, "--port", str(port)],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not is_healthy(port):
                assert server.poll() is None, f"{self.name}: {command} ended"
                time.sleep(0.002)
            yield server, 1000 * (time.perf_counter() - begin)
        finally:
            end(server)


def is_healthy(port: int) -> bool:
    try:
        with connect(port) as connection:
            connection.sendall(get_request(port, "/healthz", 0))
            return connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    except ConnectionRefusedError:
        return False


def measure_built_program(*, quick: bool) -> Rows:
    if not (FILE.is_file() and TARBALL.is_file()):
        yield Row("the built program", note=f"not measured: `make binary` makes {FILE.name}")
        return
    # On a disk, because a first start waits for what it has written.
    with tempfile.TemporaryDirectory(prefix="agentgather-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        with tarfile.open(TARBALL) as archive:
            archive.extractall(folder, filter="data")
        unpacked = folder / TARBALL.name.removesuffix(".tar.gz")
        forms = [
            form_in(folder, "virtual environment", Path(*SCRIPT)),
            form_in(folder, "folder", unpacked / "agentgather"),
            form_in(folder, SINGLE, FILE),
        ]
        size = sum(one.stat().st_size for one in unpacked.rglob("*") if one.is_file())
        yield Row(
            "the single file",
            (Figure("", FILE.stat().st_size / 1e6, "MB", 15),),
            "the libraries of Python and OpenSSL, half of what lies beside the program",
        )
        yield Row(
            "the folder",
            (
                Figure("as a tarball", TARBALL.stat().st_size / 1e6, "MB"),
                Figure("unpacked", size / 1e6, "MB"),
            ),
            "the same",
        )
        yield from measure_commands(forms, 5 if quick else 25)
        yield from measure_servers(forms, 3 if quick else 10)


def form_in(folder: Path, name: str, program: Path) -> Form:
    own = folder / name.replace(" ", "-")
    (own / "cache").mkdir(parents=True)
    return Form(name, program, own)


def measure_commands(forms: list[Form], times: int) -> Rows:
    yield from in_turns(VERSION, forms, times, lambda form: form.run("--version"))
    file = forms[-1]
    firsts = [
        file._replace(folder=form_in(file.folder, f"first {number}", file.program).folder)
        for number in range(times // 2)
    ]
    yield row_of(FIRST, file.name, [one.run("--version") for one in firsts])
    with ExitStack() as servers:
        for form in forms:
            form.run("room", "start", "bench")
            servers.enter_context(form.serving("room", "serve"))
        yield from in_turns(SEND, forms, times, lambda form: form.run("send", "host", "hello"))


def measure_servers(forms: list[Form], times: int) -> Rows:
    def start(form: Form) -> float:
        with form.serving("room", "serve") as (_, milliseconds):
            return milliseconds

    yield from in_turns(START, forms, times, start)
    for form in forms:
        state = ("--state-dir", str(form.folder / "state"))
        with (
            form.serving("room", "serve") as (room, _),
            form.serving("broker", "serve", *state) as (broker, _),
        ):
            time.sleep(IDLE_SECONDS)
            resident = [resident_kib(one.pid) / 1024 for one in (room, broker)]
        yield Row(
            f"resident after {IDLE_SECONDS} s idle, {form.name}",
            (
                Figure("room server", resident[0], "MiB", 60e6 / 2**20),
                Figure("broker", resident[1], "MiB"),
            ),
            "loaded modules; of a room's, the page's renderer is 9 MiB",
        )


def in_turns(what: str, forms: list[Form], times: int, measure: Callable[[Form], float]) -> Rows:
    """Measure one after the other, again and again: what else the machine does hits all alike."""
    taken: dict[str, list[float]] = {form.name: [] for form in forms}
    for form in forms:
        measure(form)
    for _ in range(times):
        for form in forms:
            taken[form.name].append(measure(form))
    for form in forms:
        yield row_of(what, form.name, taken[form.name])


def row_of(what: str, form: str, milliseconds: list[float]) -> Row:
    wanted, limit = LIMITS[what]
    # The head of the single file looks first whether what it has unpacked is still true.
    most = FILE_VERSION_MS if what == VERSION and form == SINGLE else wanted
    figures = (
        Figure("least", min(milliseconds), "ms", most),
        Figure("p50", statistics.median(milliseconds), "ms"),
    )
    return Row(f"{what}, {form}", figures, limit)
