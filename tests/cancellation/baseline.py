"""What has to be as it was, once an operation was cancelled: tasks and descriptors."""

from typing import NamedTuple

import trio

from tests.doubles.raw_http import descriptors


class Baseline(NamedTuple):
    """What there is at a moment when everybody waits."""

    tasks: int
    descriptors: int


def baseline() -> Baseline:
    return Baseline(
        trio.lowlevel.current_statistics().tasks_living,
        descriptors(),
    )
