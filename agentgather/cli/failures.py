"""How a command ends when it does not succeed: a plain line, and an exit status."""

from typing import Final

REFUSED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 69  # sysexits.h EX_UNAVAILABLE
TRY_LATER: Final = 75  # sysexits.h EX_TEMPFAIL
OUTPUT_CLOSED: Final = 141  # 128 + SIGPIPE


class Failure(Exception):
    """The command did not do what it was asked. The text says what to do next."""

    status = REFUSED


class Refused(Failure):
    """The room, or a rule on this side, forbids it. ``code`` is the room's."""

    def __init__(self, message: str, code: str = "") -> None:
        self.code = code
        super().__init__(message)


class Misused(Failure):
    """The command line or its input makes no sense."""

    status = USAGE


class Unreachable(Failure):
    """There is no server, or it is not known whether it did what it was asked.

    With ``may_be_done`` the request left this process and no answer came back.
    ``retry_after`` is in seconds, 0 where nobody named any.
    """

    status = UNREACHABLE

    def __init__(self, message: str, *, may_be_done: bool = False, retry_after: int = 0) -> None:
        self.may_be_done = may_be_done
        self.retry_after = retry_after
        super().__init__(message)


class TryLater(Failure):
    """Not now. ``retry_after`` is in seconds."""

    status = TRY_LATER

    def __init__(self, message: str, retry_after: int = 1, code: str = "") -> None:
        self.retry_after = retry_after
        self.code = code
        super().__init__(message)


class OutputClosed(Exception):
    """Nobody reads the output any more, as under ``| head``. No error, and no delivery."""
