"""The command line, as a user has it: a process for each command."""

import json
import statistics
import subprocess
import time
from pathlib import Path

from tests.bench.figures import Figure, Row, Rows
from tests.bench.processes import SCRIPT, environment_of, room_of, served


def measure_cli(*, quick: bool) -> Rows:
    with room_of(10) as home, served(home) as (port, _, _):
        point_at(home, port)
        for name, arguments, limit in (
            ("agentgather --version", ["--version"], "Python's own start, and click"),
            ("agentgather send", ["send", "p1", "hello"], "loading the modules of the command"),
        ):
            times = []
            for _ in range(5 if quick else 15):
                start = time.perf_counter()
                subprocess.run(
                    [*SCRIPT, *arguments],
                    env=environment_of(home),
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
                times.append(1000 * (time.perf_counter() - start))
            yield Row(
                f"`{name}`",
                (Figure("p50", statistics.median(times), "ms"), Figure("least", min(times), "ms")),
                limit,
            )


def point_at(home: Path, port: int) -> None:
    """Let the commands find the room's server at its port."""
    seat = json.loads((home / "current-room.json").read_text())
    seat["baseUrl"] = f"http://127.0.0.1:{port}"
    (home / "current-room.json").write_text(json.dumps(seat))
