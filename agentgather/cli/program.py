"""The command line: its commands, and how a command ends.

0 done and acknowledged · 1 refused · 2 usage · 69 not reachable, or outcome unknown ·
75 try again later · 129, 130, 143 ended by a signal · 141 nobody reads the output
"""

import os
import sys
from typing import Any, Final

import click

from agentgather import __version__
from agentgather.cli.candidates import VARIABLE
from agentgather.cli.context import Context
from agentgather.cli.failures import (
    OUTPUT_CLOSED,
    REFUSED,
    UNREACHABLE,
    USAGE,
    Failure,
    Misused,
    OutputClosed,
)
from agentgather.cli.help_text import HELP
from agentgather.cli.lazy_group import CONTEXT_SETTINGS, LazyGroup, Table
from agentgather.cli.signals import EndedBySignal, raise_on_signals
from agentgather.storage.failures import StorageBusy, StorageFailed, StorageFull
from agentgather.storage.files import UnsafeFile
from agentgather.storage.lock import RoomLocked
from agentgather.storage.stored_room import DamagedRoom, NewerSchema

_HERE: Final = "agentgather.cli.commands"
COMMANDS: Final[Table] = {
    "up": (f"{_HERE}.up:up", "make a room if there is none, and serve it"),
    "room": (f"{_HERE}.room:room", "make, serve, invite to, inspect and close rooms"),
    "tunnel": (f"{_HERE}.tunnel:tunnel", "make a room public through a broker"),
    "send": (f"{_HERE}.send:send", "post one message to somebody"),
    "reply": (f"{_HERE}.reply:reply", "answer a message"),
    "handoff": (f"{_HERE}.handoff:handoff", "hand work over to somebody, with a summary"),
    "messages": (f"{_HERE}.messages:messages", "print messages"),
    "read": (f"{_HERE}.messages:read", "print what is new, and remember it as read"),
    "watch": (f"{_HERE}.attend:watch", "wait once for news"),
    "attend": (f"{_HERE}.attend:attend", "stay in the room until it closes"),
    "export": (f"{_HERE}.export:export", "write the whole room to a file"),
    "broker": (f"{_HERE}.broker:broker", "run a public relay for rooms"),
    "doctor": (f"{_HERE}.doctor:doctor", "check the home, the room and its server"),
    "conformance": (f"{_HERE}.conformance:conformance", "try the contract on a server"),
    "instructions": (f"{_HERE}.instructions:instructions", "print an agent's operating card"),
    "completion": (f"{_HERE}.completion:completion", "print a shell's completion script"),
}


@click.group(cls=LazyGroup, table=COMMANDS, context_settings=CONTEXT_SETTINGS, help=HELP)
@click.option("--insecure", is_flag=True, help="allow plain HTTP to another machine")
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
@click.pass_obj
def program(context: Context, insecure: bool) -> None:
    """Take the options that every command has."""
    context.insecure |= insecure


def run_process(arguments: list[str]) -> int:
    """Run a command with this process's streams and home, and give the exit status."""
    _open_missing_streams()
    try:
        raise_on_signals()
        status = run_command(arguments, Context.of_process())
    except EndedBySignal as error:
        status = 128 + error.number
    except Misused as error:
        sys.stderr.write(f"agentgather: {error}\n")
        status = error.status
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # Nobody takes our last words, and Python would try once more at the exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            status = status or OUTPUT_CLOSED
    return status


def run_command(arguments: list[str], context: Context) -> int:
    """Run a command, say in one line what went wrong, and give the exit status.

    Raises:
        EndedBySignal: a signal came, and the command had nothing to say to it.

    """
    try:
        if VARIABLE in os.environ:
            # Here, because only a TAB needs it.
            from agentgather.cli.completing import answer_shell

            answer_shell(program, context)
            return 0
        outcome: Any = program.main(
            arguments, prog_name="agentgather", standalone_mode=False, obj=context
        )
    except click.exceptions.NoArgsIsHelpError as error:
        context.stderr.write(error.format_message() + "\n")
        return USAGE
    except click.UsageError as error:
        hint = f"; see `{error.ctx.command_path} --help`" if error.ctx is not None else ""
        context.say(error.format_message().rstrip(".") + hint)
        return USAGE
    except click.ClickException as error:
        context.say(error.format_message())
        return USAGE
    except (OutputClosed, SystemExit):
        # click's own answer to a pipe that broke under its help text is SystemExit.
        return OUTPUT_CLOSED
    except RoomLocked as error:
        context.say(f"{error}; wait for it to end, or start its server again")
        return UNREACHABLE
    except Exception as error:
        if context.environ.get("AGENTGATHER_TRACEBACK"):
            raise
        context.say(_plain(error))
        return error.status if isinstance(error, Failure) else REFUSED
    return outcome if isinstance(outcome, int) else 0


def _plain(error: Exception) -> str:
    """Say what an error means that a user can do something about; of a bug, that it is one."""
    if isinstance(error, (Failure, UnsafeFile, DamagedRoom, NewerSchema)):
        return str(error)
    if isinstance(error, (StorageFull, StorageFailed, StorageBusy)):
        return f"the disk of the home: {error}; nothing was acknowledged"
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{where}"
    return (
        f"this is a bug ({type(error).__name__}); run it again with AGENTGATHER_TRACEBACK=1 "
        "to see where, and report it"
    )


def _open_missing_streams() -> None:
    """Put something where a standard stream is closed, before a file gets its number.

    In the place of the output that is a pipe without a reader: what nobody was given does
    not count as delivered.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = _unread_pipe() if number == 1 else os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _unread_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer
