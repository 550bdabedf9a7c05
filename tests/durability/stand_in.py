"""Put another disk in the place of the system's, for all of a process.

The program has no switch for it: what ships has neither failpoints nor a place for them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Final

from agentgather.storage.disk import OS_DISK, Disk

CALLS: Final = tuple(name for name in vars(Disk) if not name.startswith("_"))
"""Every call that decides what survives."""
SYSTEM: Final[Any] = SimpleNamespace(**{name: getattr(OS_DISK, name) for name in CALLS})
"""The system's own calls, also while something stands in for them."""


class StandIn:
    """The system's own calls, for whoever changes a few of them."""

    def __getattr__(self, name: str) -> Any:
        return getattr(SYSTEM, name)


def stand_in(disk: Any) -> None:
    """Let ``disk`` be called by all who call the system's, from now on."""
    for name in CALLS:
        # A static method, so that `self` of the one that is replaced is not passed on.
        setattr(type(OS_DISK), name, staticmethod(getattr(disk, name)))


@contextmanager
def standing_in(disk: Any) -> Iterator[None]:
    """Let ``disk`` be called by all who call the system's, for the length of the block."""
    kind = type(OS_DISK)
    before = {name: kind.__dict__[name] for name in CALLS}
    stand_in(disk)
    try:
        yield
    finally:
        for name, call in before.items():
            setattr(kind, name, call)
