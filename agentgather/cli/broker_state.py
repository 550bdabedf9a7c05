"""Where a broker's state is, and what to say where it cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agentgather.broker.state import State, open_state
from agentgather.broker.state_directory import StateError, StateInUse
from agentgather.cli.context import Context
from agentgather.cli.failures import Misused, Refused, Unreachable

_NAME: Final = "agentgather-broker"


def state_path(context: Context, given: str | None) -> Path:
    """Give the state directory: the one that was named, systemd's, or the user's.

    Raises:
        Misused: there is no place for one, or an empty name was given.

    """
    if given == "":
        # A variable that is not set would have it where one happens to be.
        raise Misused("--state-dir is empty; name a directory, or leave it out")
    if given is not None:
        return Path(given)
    # systemd gives a unit with several StateDirectory= all of them, parted by colons.
    of_unit = context.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if of_unit:
        return Path(of_unit)
    of_user = context.environ.get("XDG_STATE_HOME", "")
    # A relative path is to be ignored: XDG Base Directory Specification.
    if of_user.startswith("/"):
        return Path(of_user) / _NAME
    try:
        home = Path(context.environ.get("HOME") or Path.home())
    except RuntimeError:
        raise Misused("there is no home directory; name a place with --state-dir") from None
    return home / ".local" / "state" / _NAME


@contextmanager
def opened_state(
    context: Context, given: str | None, *, serving: bool = False, create: bool = True
) -> Iterator[State]:
    """Hold the state open for the length of the block.

    Raises:
        Misused, Refused, Unreachable: it cannot be used; the text says why.

    """
    try:
        state = open_state(
            state_path(context, given), serving=serving, create=create, entropy=context.entropy
        )
        try:
            yield state
        finally:
            state.close()
    except StateInUse as error:
        raise Unreachable(str(error)) from None
    except StateError as error:
        raise Refused(str(error)) from None
