"""Write the page of the manual, agentgather(1), from the commands and their help.

    python packaging/generate/man.py FILE

It has nothing that the help has not, so it is made where it is needed and kept nowhere.
"""

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

from agentgather import __version__
from agentgather.cli import help_text
from agentgather.cli.lazy_group import CONTEXT_SETTINGS
from agentgather.cli.program import program

# What only the manual has room for.
ENVIRONMENT: Final[help_text.Rows] = (
    *help_text.ENVIRONMENT,
    ("TERM", "with dumb there is no colour"),
    ("STATE_DIRECTORY, XDG_STATE_HOME", "where a broker keeps its state; see FILES"),
    (
        "XDG_CACHE_HOME",
        "where it unpacks itself, once, if AGENTGATHER_UNPACK_DIR is not set; it must be a folder "
        "from which programs may run",
    ),
    ("SSL_CERT_FILE, SSL_CERT_DIR", "the certificates to trust, instead of this machine's"),
    (
        "AG_BASE, AG_TOKEN",
        "not read by this program: an Attend Card sets them for the curl commands on it",
    ),
)
FILES: Final[help_text.Rows] = (
    ("~/.agentgather/current-room.json", "the selected seat, with its token"),
    ("~/.agentgather/seats/ROOM.json", "the other seats of this home, with their tokens"),
    ("~/.agentgather/rooms/ROOM/", "a room: brief, roster, cursors, and its log messages.jsonl"),
    (
        "$STATE_DIRECTORY, $XDG_STATE_HOME/agentgather-broker/ or "
        "~/.local/state/agentgather-broker/",
        "a broker's leases and registration tokens, as hashes",
    ),
    ("~/.cache/agentgather/", "what the program that is a single file has unpacked"),
    ("MANIFEST.sha256", "beside a built program: its files, for agentgather doctor --verify"),
)
NOTES: Final = (
    "Of a flag given twice the last one counts; after `--` nothing is a flag. Every command that "
    "prints data has `--json`: one JSON document, or JSON lines, and nothing else on standard "
    "output. Errors are one line on standard error. Neither proxy variables nor netrc are heeded."
)
COMMON: Final = ("-h, --help",)
_ESCAPES: Final = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "^": r"\(ha", "~": r"\(ti", '"': r"\(dq"}


def page() -> str:
    """Give the page as roff, in ASCII."""
    lines = [
        f'.TH AGENTGATHER 1 "" "agentgather {__version__}" "User Commands"',
        # No hyphenation and a ragged edge: half of it are words to be copied.
        ".nh",
        ".ad l",
        ".SH NAME",
        rf"agentgather \- {_text(help_text.SUMMARY[:1].lower() + help_text.SUMMARY[1:-1])}",
        ".SH SYNOPSIS",
        r".B agentgather",
        r"[\fB\-\-insecure\fR] \fIcommand\fR [\fIargument\fR ...]",
        ".br",
        r".B agentgather",
        r"[\fIcommand\fR ...] \fB\-\-help\fR | \fB\-\-version\fR",
        ".SH DESCRIPTION",
        *_prose(f"{help_text.ADVICE}\n\n{NOTES}"),
        ".SH OPTIONS",
        *_options(program, _context(program, "agentgather", None), but=()),
        ".SH COMMANDS",
        *_commands(program, _context(program, "agentgather", None)),
        ".SH EXIT STATUS",
        *_rows(help_text.EXIT_STATUS),
        ".SH ENVIRONMENT",
        *_rows(ENVIRONMENT),
        ".SH FILES",
        *_rows(FILES),
        ".SH EXAMPLES",
        *_prose(help_text.as_it_stands(help_text.EXAMPLES)),
        ".SH SEE ALSO",
        r".BR curl (1),",
        r".BR ssh (1)",
    ]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        own = _context(command, name, context)
        usage = " ".join([own.command_path, *command.collect_usage_pieces(own)])
        yield f".SS {_quoted(usage)}"
        yield from _prose(command.help or "")
        yield from _options(command, own, but=COMMON)
        if isinstance(command, click.Group):
            yield from _commands(command, own)


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(command, info_name=name, parent=parent, **CONTEXT_SETTINGS)


def _options(command: click.Command, context: click.Context, but: Iterable[str]) -> Iterator[str]:
    records = [
        option.get_help_record(context)
        for option in command.get_params(context)
        if isinstance(option, click.Option)
    ]
    yield from _rows(record for record in records if record is not None and record[0] not in but)


def _rows(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, text in rows:
        yield from (".TP", f".B {_quoted(name)}", *_wrapped(text))


def _prose(text: str) -> Iterator[str]:
    """Give paragraphs; those that click is told to leave alone keep their lines."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip("\n"))):
        if number:
            yield ".PP"
        if paragraph.startswith("\b"):
            yield ".nf"
            yield from (rf"\&{_text(line)}" for line in paragraph.splitlines()[1:])
            yield ".fi"
        else:
            yield from _wrapped(paragraph)


def _wrapped(text: str) -> Iterator[str]:
    """Give lines of text, of which none is a request, whatever it begins with."""
    lines = textwrap.wrap(_text(text), 76, break_long_words=False, break_on_hyphens=False)
    yield from (rf"\&{line}" if line.startswith(".") else line for line in lines)


def _text(text: str) -> str:
    """Escape a text, with what is in backquotes in bold."""
    parts = text.split("`")
    assert len(parts) % 2, f"a backquote is left open: {text}"
    return "".join(
        rf"\fB{_escaped(part)}\fR" if number % 2 else _escaped(part)
        for number, part in enumerate(parts)
    )


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


def write_page(file: Path) -> None:
    """Write the page."""
    file.write_text(page(), "ascii")


def main(arguments: list[str]) -> int:
    """Run the command."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    write_page(Path(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
