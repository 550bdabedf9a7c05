"""What the documents say can be followed: links lead somewhere, commands exist."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from agentgather.cli.lazy_group import CONTEXT_SETTINGS
from tests.docs.page import PAGES, ROOT, blocks_of, page_name
from tests.docs.substitutions import RELEASES

_LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_FENCE: Final = re.compile(r"^ *```\w*\n.*?^ *```$", re.M | re.S)
_INLINE: Final = re.compile(r"`(agentgather [^`]*)`")


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text("utf-8")), re.M):
        text = re.sub(r"[^\w\- ]", "", heading.strip().lower())
        found.add(text.replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    faults = []
    for link in _LINK.findall(without_code(page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        exists = path.exists() and path.is_relative_to(ROOT)
        if not exists or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            faults.append(link)
    assert faults == []


_PUBLISHED: Final = re.compile(r"https://[^\s\"'`<>()]+/releases/download\b")
# Whoever publishes elsewhere changes `[project.urls]`, and these.
_NAME_IT: Final = ("README.md", "docs/deployment.md", "packaging/install.sh")


def test_all_that_name_where_releases_are_name_the_same_place() -> None:
    texts = {path: path.read_text("utf-8") for path in [*PAGES, ROOT / "packaging/install.sh"]}
    named = {
        path.relative_to(ROOT).as_posix(): set(found)
        for path, text in texts.items()
        if (found := _PUBLISHED.findall(text))
    }
    assert named == {name: {RELEASES} for name in _NAME_IT}


def commands(page: Path) -> Iterator[list[str]]:
    """Give every `agentgather …` of a page, in fences and in tables and text."""
    for block in blocks_of(page):
        if block.is_shell:
            yield from block.commands()
    for command in _INLINE.findall(_FENCE.sub("", page.read_text("utf-8"))):
        try:
            yield shlex.split(command)
        except ValueError:
            yield command.split()


def fault_in(words: list[str]) -> str:
    """Say what a command has that the program does not; "" if nothing."""
    cli = importlib.import_module("agentgather.cli.program")
    group: click.Group = cli.program
    command: click.Command = group
    context = click.Context(group, info_name="agentgather", **CONTEXT_SETTINGS)
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        if found is None:
            return f"no command {rest[0]!r}"
        command, rest = found, rest[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    known = {
        flag
        for option in command.get_params(context)
        if isinstance(option, click.Option)
        for flag in (*option.opts, *option.secondary_opts)
    }
    flags = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    unknown = [flag for flag in flags if flag not in known | {"-h", "--help"}]
    return f"no flag {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_exist(page: Path) -> None:
    faults = [
        f"{' '.join(words)}: {fault_in(words)}" for words in commands(page) if fault_in(words)
    ]
    assert faults == []


def test_each_target_of_make_is_in_the_table_for_contributors() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.M)) - {"help"}
    table = (ROOT / "docs" / "contributing.md").read_text("utf-8")
    assert set(re.findall(r"^\| `make ([a-z-]+)", table, re.M)) == targets


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_pages_speak_of_the_program_only(page: Path) -> None:
    text = page.read_text("utf-8")
    # Words of workplaces, not of the program; put together so that this file has none.
    words = ["/work" + "/", "contract" + ".md", "design" + ".md", "TO" + "DO"]
    assert [word for word in words if word in text] == []
