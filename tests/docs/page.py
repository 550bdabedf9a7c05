"""What a page holds beside its text: blocks of code, and what is noted before them.

A comment right before a block says what a reader needs no word for:

``<!-- not run: REASON -->``  the tests don't run it, and why
``<!-- needs: PROGRAM -->``   they run it where the program is
``<!-- a fresh home -->``     another way to the same end: it begins on a machine without rooms
``<!-- it prints -->``        what the block before shows, in shape: ``…`` is any text, or any lines
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Final, NamedTuple

from markdown_it import MarkdownIt

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "spec/**/*.md") for path in ROOT.glob(pattern)
)
NOT_RUN: Final = "not run: "
NEEDS: Final = "needs: "
FRESH: Final = "a fresh home"
PRINTS: Final = "it prints"


class Block(NamedTuple):
    """A fenced block. ``section`` is the heading of its part, ``note`` is of its comment."""

    page: str
    line: int
    language: str
    text: str
    section: str
    note: str

    @property
    def is_shell(self) -> bool:
        return self.language in ("sh", "bash", "console", "shell")

    @property
    def reason(self) -> str:
        """Say why it is not run; "" if it is."""
        return self.note.removeprefix(NOT_RUN) if self.note.startswith(NOT_RUN) else ""

    @property
    def is_run(self) -> bool:
        """Say whether the tests run it, on this machine."""
        needed = self.note.removeprefix(NEEDS) if self.note.startswith(NEEDS) else ""
        return self.is_shell and not self.reason and (not needed or which(needed) is not None)

    @property
    def name(self) -> str:
        """Name it in a way that stays when lines above it come and go."""
        return f"{self.page}: {self.text.splitlines()[0]}"

    @property
    def lines(self) -> list[str]:
        """Give its logical lines: those that end in a backslash are one with the next."""
        return self.text.replace("\\\n", " ").splitlines()

    def commands(self) -> Iterator[list[str]]:
        """Give every ``agentgather …`` in it, wherever it stands in a line."""
        for line in self.lines:
            yield from agentgather_commands(line)


def page_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks_of(path: Path) -> list[Block]:
    """Give the fenced blocks of a page, in their order."""
    found: list[Block] = []
    section = note = ""
    tokens = MarkdownIt().parse(path.read_text("utf-8"))
    for before, token in zip([None, *tokens], tokens, strict=False):
        if before is not None and (before.type, before.tag) == ("heading_open", "h2"):
            section = token.content
        elif token.type == "html_block":
            comment = re.fullmatch(r"<!-- (.*) -->", token.content.strip())
            note = comment[1] if comment else ""
            continue
        elif token.type == "fence":
            assert token.map is not None
            line = token.map[0] + 1
            found.append(Block(page_name(path), line, token.info, token.content, section, note))
        note = ""
    return found


def shape(expected: str) -> re.Pattern[str]:
    """Give what matches an output: ``…`` is any text of a line, a line of it any lines."""
    lines = []
    for line in expected.splitlines():
        words = r"[^\n]*".join(map(re.escape, line.split("…")))
        lines.append(r"(?:[^\n]*\n)*?" if line == "…" else words + r"[ \t]*\n")
    return re.compile("^" + "".join(lines), re.MULTILINE)


def agentgather_commands(line: str) -> Iterator[list[str]]:
    """Give the commands of this program in a line, the program's own name first."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    command: list[str] = []
    try:
        words = list(lexer)
    except ValueError:  # a quote that another line closes, or an apostrophe of a text
        words = line.split()
    for word in [*words, ";"]:
        if not re.fullmatch(r"[|&;()<>]+", word):
            command.append(word)
            continue
        if (at := _where_it_begins(command)) is not None:
            yield ["agentgather", *command[at + 1 :]]
        command = []


def _where_it_begins(words: list[str]) -> int | None:
    """Say which word is the program: the first, or after variables and `sudo -u NAME`."""
    at = 0
    while at < len(words) and re.match(r"[A-Z_]+=", words[at]):
        at += 1
    if words[at : at + 2] == ["sudo", "-u"]:
        at += 3
    is_it = at < len(words) and words[at].rpartition("/")[2] == "agentgather"
    return at if is_it else None
