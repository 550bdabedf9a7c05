"""How a signal ends a command: as an exception, so that its last line can be printed."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class EndedBySignal(BaseException):
    """A signal asks the process to end. The exit status is ``128 + number``."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)

    @property
    def name(self) -> str:
        """``SIGINT``, ``SIGTERM`` or ``SIGHUP``."""
        return signal.Signals(self.number).name


def heeded() -> tuple[int, ...]:
    """Give the signals that end this process.

    A SIGHUP that the parent ignores stays ignored: that is what ``nohup`` asks for. A SIGINT
    does not: a script's shell ignores it for all that it starts in the background, and who
    sends one by name means it.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return (signal.SIGINT, signal.SIGTERM)
    return ENDING


def raise_on_signals() -> None:
    """From now on the first signal raises EndedBySignal, and a second ends the process."""
    for number in heeded():
        signal.signal(number, _raise)


@contextmanager
def signals_deferred() -> Iterator[list[int]]:
    """Raise what comes during the block after it: the code inside must not be cut.

    Gives the list that what has come is noted in, for a block that can end early.
    """
    came: list[int] = []

    def note(number: int, _frame: Any) -> None:
        if came:
            os._exit(128 + number)
        came.append(number)

    before = {number: signal.signal(number, note) for number in heeded()}
    try:
        yield came
    finally:
        for number, handler in before.items():
            # None stands for a handler that was not set from Python.
            if handler is not None:
                signal.signal(number, handler)
        if came:
            raise EndedBySignal(came[0])


def _raise(number: int, _frame: Any) -> None:
    for other in ENDING:
        if signal.getsignal(other) is _raise:
            signal.signal(other, _exit_now)
    raise EndedBySignal(number)


def _exit_now(number: int, _frame: Any) -> None:
    os._exit(128 + number)
