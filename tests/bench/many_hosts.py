"""A broker with many hosts, and one that is flooded with what it does not know."""

import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.bench.clients import resident_kib
from tests.bench.figures import CORE, Figure, Row, Rows
from tests.bench.processes import client, cpu_seconds
from tests.bench.public import LIFTED, brokered, hosted, is_connected, until

HOSTS: Final = 500
FLOOD: Final = 100_000


def measure_hosts(*, quick: bool) -> Rows:
    with TemporaryDirectory(prefix="agentgather-bench-", dir="/var/tmp") as folder:
        yield from measure_many_hosts(Path(folder) / "many", quick=quick)
        yield from measure_flood(Path(folder) / "flood", quick=quick)


def measure_many_hosts(state: Path, *, quick: bool) -> Rows:
    with ExitStack() as stack:
        broker = stack.enter_context(brokered(state, *LIFTED))
        pid = broker.process.pid
        before_kib = resident_kib(pid)
        start = time.perf_counter()
        hosts = stack.enter_context(hosted(broker, HOSTS, "idle"))
        seconds = hosts.until_open(HOSTS) - start
        kib = (resident_kib(pid) - before_kib) / HOSTS
        yield Row(
            f"{HOSTS} hosts claim a name each",
            (Figure("after", seconds, "s"), Figure("memory of each", kib, "KiB")),
            "one lease after the other to the disk, 1 to 2 ms each",
        )
        other = stack.enter_context(hosted(broker, 1, "stopped"))
        other.until_open(1)
        other.process.send_signal(signal.SIGSTOP)
        stopped = time.perf_counter()
        idle_seconds = 10 if quick else 20
        before = cpu_seconds(pid)
        time.sleep(idle_seconds)
        share = (cpu_seconds(pid) - before) / idle_seconds
        yield Row(
            f"{HOSTS} idle links",
            (Figure("the broker", 100 * share, CORE),),
            "100 pings a second, both ways",
        )
        gone = until(lambda: not is_connected(broker, "stopped-0"), pause=0.1)
        yield Row(
            "a host that stops without a word is known to be gone",
            (Figure("after", gone - stopped, "s", 35),),
            "`PING_SECONDS` and `PONG_SECONDS`: 20 to 30 s",
        )
        for how, end_it, limit in (
            ("was killed", subprocess.Popen.kill, "their pauses: 0.5 s, then up to 1.5 s"),
            ("was restarted in order", subprocess.Popen.terminate, "`HOSTS_BACK_PER_SECOND`: 50"),
        ):
            start = time.perf_counter()
            end_it(broker.process)
            broker.process.wait()
            again = brokered(state, *LIFTED, port=broker.port, metrics_port=broker.metrics_port)
            broker = stack.enter_context(again)
            up = time.perf_counter()
            # What the hosts have said up to now begins with their losses.
            hosts.until_open(0)
            back = hosts.until_open(HOSTS)
            yield Row(
                f"{HOSTS} hosts after the broker {how}",
                (
                    Figure("it listened after", up - start, "s"),
                    Figure("all were back after", back - start, "s", 30),
                ),
                limit,
            )


def measure_flood(state: Path, *, quick: bool) -> Rows:
    """With the limits that a broker has by default."""
    count = FLOOD // 10 if quick else FLOOD
    with ExitStack() as stack:
        broker = stack.enter_context(brokered(state, "--trusted-proxy", "loopback"))
        stack.enter_context(hosted(broker, 1, "flood")).until_open(1)
        result = client(
            *("flood", broker.port, broker.process.pid, count, "flood-0"), module="public_load"
        )
    yield Row(
        f"a flood of {count:,} addresses, slugs and tokens",
        (
            Figure("", result["per_second"], "/s"),
            Figure("the broker grows by", result["mib"], "MiB", 50),
        ),
        "`MAX_RATE_KEYS`, `MAX_TRUSTED`",
    )
