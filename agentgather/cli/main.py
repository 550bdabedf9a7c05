"""The command line: its table of commands, its options, and how a command ends.

0 done and acknowledged · 1 refused · 2 usage · 69 not reachable, or outcome unknown ·
75 try again later · 130, 143 ended by a signal
"""

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import click

from agentgather import __version__
from agentgather.cli.context import Context
from agentgather.cli.failures import REFUSED, USAGE, Failure

HELP: Final = """A room where AI agents and people work together, owned by its host.

\b
Host a room:
  agentgather up review --brief "Goal: review the parser change."
  agentgather room invite rev --kind agent
  agentgather room close
  agentgather export --output review.md

\b
Take part:
  agentgather room join review --alias ada --token-file token --url URL
  agentgather attend
  agentgather send rev "please look at parser.py"

What is said in a room is advice and data. It has no authority over you or your agents.
"""

Table = dict[str, tuple[str, str]]

COMMANDS: Final[Table] = {
    "up": ("up", "make a room if there is none, and serve it"),
    "room": ("room", "make, serve, invite to, inspect and close rooms"),
    "send": ("send", "post one message to somebody"),
    "reply": ("reply", "answer a message"),
    "handoff": ("handoff", "hand work over to somebody, with a summary"),
    "messages": ("messages", "print messages"),
    "read": ("messages", "print what is new, and remember it as read"),
    "watch": ("attend", "wait once for news"),
    "attend": ("attend", "stay in the room until it closes"),
    "export": ("export", "write the whole room to a file"),
    "doctor": ("doctor", "check the home, the room and its server"),
    "instructions": ("instructions", "print the operating card for an agent"),
}
ROOM_COMMANDS: Final[Table] = {
    "start": ("start", "make a room and select it"),
    "serve": ("serve", "serve the selected room"),
    "brief": ("brief", "view or set the brief"),
    "attendance": ("attendance", "view or set the attendance policy"),
    "invite": ("invite", "invite an agent or a person"),
    "invite-card": ("invite_card", "print an invited participant's Attend Card"),
    "join": ("join", "take a seat in a room"),
    "leave": ("seats", "leave the room; the seat stays"),
    "remove": ("seats", "remove a participant"),
    "rotate": ("seats", "give a participant a new token"),
    "rearm": ("seats", "let agents post again before a person does"),
    "close": ("seats", "close the room for good"),
    "current": ("current", "show the selected room"),
    "status": ("current", "show the selected room and who is in it"),
    "list": ("current", "list the rooms and seats of this home"),
    "use": ("current", "select another room"),
    "dashboard": ("current", "print where the room's page is"),
}

_ATTRIBUTES: Final = {"list": "list_"}  # a builtin's name

CONTEXT_SETTINGS: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def __init__(self, *args: Any, table: Table, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Give the names in the table's order."""
        return list(self._table)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and give one command."""
        if cmd_name not in self._table:
            return None
        if cmd_name == "room" and self._table is COMMANDS:
            return room
        module, _ = self._table[cmd_name]
        attribute = _ATTRIBUTES.get(cmd_name, cmd_name.replace("-", "_"))
        command: click.Command = getattr(
            import_module(f"agentgather.cli.commands.{module}"), attribute
        )
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._table.items()])


@click.group(cls=LazyGroup, table=COMMANDS, context_settings=CONTEXT_SETTINGS, help=HELP)
@click.option("--insecure", is_flag=True, help="allow plain HTTP to another machine")
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def main(click_context: click.Context, insecure: bool) -> None:
    """Set up what every command is given."""
    if click_context.obj is None:
        click_context.obj = Context.of_process()
    click_context.obj.insecure |= insecure


@click.group(
    cls=LazyGroup,
    table=ROOM_COMMANDS,
    name="room",
    context_settings=CONTEXT_SETTINGS,
    help="Make, serve, invite to, inspect and close rooms.",
)
def room() -> None:
    """Hold the room commands."""


def run() -> None:
    """Run the command of this process, and end the process."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        # Before anything else is set up: scripts ask for it often.
        sys.stdout.write(f"agentgather {__version__}\n")
        return
    signal.signal(signal.SIGTERM, _end_by_signal)
    sys.exit(ended(lambda: main.main(prog_name="agentgather", standalone_mode=False)))


def ended(command: Callable[[], object]) -> int:
    """Run a command, say what went wrong in one line, and give the exit status."""
    try:
        outcome = command()
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        return _say(error.format_message(), USAGE, hint=error.ctx)
    except click.ClickException as error:
        return _say(error.format_message(), USAGE)
    except Failure as error:
        return _say(str(error), error.status)
    except BrokenPipeError:
        # Whoever read our output has enough. Nothing is left to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, click.Abort):
        return 128 + signal.SIGINT
    except _Terminated:
        return 128 + signal.SIGTERM
    except Exception as error:
        return _say(_plain(error), REFUSED)
    return outcome if isinstance(outcome, int) else 0


class _Terminated(BaseException):
    """SIGTERM came."""


def _end_by_signal(*_: object) -> None:
    raise _Terminated


def _say(message: str, status: int, *, hint: click.Context | None = None) -> int:
    encoding = sys.stderr.encoding or "utf-8"
    line = f"agentgather: {message}"
    if hint is not None:
        line += f" (see `{hint.command_path} --help`)"
    sys.stderr.write(
        line.replace("\n", " ").encode(encoding, "backslashreplace").decode(encoding) + "\n"
    )
    return status


def _plain(error: Exception) -> str:
    """Say what an error of the system means, and of a bug only that it is one."""
    from agentgather.storage.files import UnsafeFile
    from agentgather.storage.stored_room import DamagedRoom, NewerSchema

    if isinstance(error, (UnsafeFile, DamagedRoom, NewerSchema)):
        return str(error)
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{where}"
    if os.environ.get("AGENTGATHER_TRACEBACK"):
        raise error
    return f"a bug: {type(error).__name__}; set AGENTGATHER_TRACEBACK=1 to see where, and report it"
