"""``agentgather`` as it is, and a file that says how many tasks it has.

    SOAK_TASKS_FILE=path python -m tests.soak.counted …

No program says that of itself. The file is written once a second, by a thread that does
nothing else.
"""

import os
import threading
import time
from functools import partial
from pathlib import Path

import trio

from agentgather.cli.main import run

VARIABLE = "SOAK_TASKS_FILE"
EVERY_SECONDS = 1


class Tasks(trio.abc.Instrument):
    """Counts the tasks that live."""

    def __init__(self) -> None:
        self.living = 0

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        self.living += 1

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        self.living -= 1

    def write(self, path: Path) -> None:
        unfinished = path.with_suffix(".new")
        while True:
            unfinished.write_text(str(self.living))
            unfinished.replace(path)
            time.sleep(EVERY_SECONDS)


def main() -> None:
    tasks = Tasks()
    threading.Thread(target=tasks.write, args=(Path(os.environ[VARIABLE]),), daemon=True).start()
    trio.run = partial(trio.run, instruments=[tasks])
    run()


if __name__ == "__main__":
    main()
