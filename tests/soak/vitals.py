"""What a process takes of its machine."""

import sys
from pathlib import Path
from typing import NamedTuple

from tests.bench.clients import resident_kib
from tests.end_to_end.public.program import Program
from tests.soak.counted import VARIABLE


class Vitals(NamedTuple):
    """One look at a process. ``kept`` is what has to be the same whenever all is calm."""

    resident_kib: int
    descriptors: int
    threads: int
    tasks: int

    @property
    def kept(self) -> tuple[int, int]:
        return self.descriptors, self.tasks


def count_tasks(program: Program) -> Program:
    """Have a program that was not started yet say how many tasks it has."""
    where = program.command.index("agentgather")
    assert program.command[where - 2 : where] == [sys.executable, "-m"]
    program.command[where] = "tests.soak.counted"
    program.environment[VARIABLE] = str(_tasks_file(program))
    return program


def look_at(program: Program) -> Vitals:
    """Give the vitals of a program that runs."""
    program.is_running()
    return Vitals(
        resident_kib(program.pid),
        program.descriptors(),
        program.threads(),
        int(_tasks_file(program).read_text()),
    )


def waited_seconds(pid: int) -> float:
    """Say how long a process's event loop was ready to run and had no core."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def _tasks_file(program: Program) -> Path:
    return program.output.with_suffix(".tasks")
