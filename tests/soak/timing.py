"""How quickly rooms answer that have no trouble of their own."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

import trio

from tests.bench.processes import REPOSITORY

PER_SECOND: Final = 20


class Timing(NamedTuple):
    """One part of a cycle: the percentiles of the median room, and the worst of all."""

    p50_ms: float
    p99_ms: float
    worst_ms: float


async def time_rooms(port: int, slugs: Sequence[str], seconds: float, faults: list[str]) -> Timing:
    """Ask each room at a steady pace for so long, from a process for each."""
    found: list[dict[str, float]] = []

    async def time_one(slug: str) -> None:
        path = f"/{slug}/messages?since_id=0&limit=1"
        arguments = map(str, (port, seconds, PER_SECOND, "gets", path))
        done = await trio.run_process(
            [sys.executable, "-m", "tests.bench.paced_load", *arguments],
            cwd=REPOSITORY,
            capture_stdout=True,
            capture_stderr=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode == 0:
            found.append(json.loads(done.stdout))
        else:
            faults.append(f"{slug}: {done.stderr.decode()[-400:]}")

    async with trio.open_nursery() as timing:
        for slug in slugs:
            timing.start_soon(time_one, slug)
    assert found, faults
    found.sort(key=lambda one: one["p99_ms"])
    middle = found[len(found) // 2]
    return Timing(middle["p50_ms"], middle["p99_ms"], found[-1]["worst_ms"])
