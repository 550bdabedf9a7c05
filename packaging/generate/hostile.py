"""The hostile catalogue as a page, from ``tests/hostile/catalogue.toml`` and the tests' markers.

The tests are read and not run, so the page can be written where nothing of them is installed.
"""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

CATALOGUE: Final = "tests/hostile/catalogue.toml"
PAGE: Final = "docs/hostile.md"
_HEAD: Final = """
# What may come, and what comes of it

What a stranger, a participant, a host, a broker, a disk or a clock may do to the program, and
what comes back. It is for whoever judges the program, and for whoever changes it.

In each row too: the process lives, nothing but the row's own answer is a 5xx, no traceback is
logged, and memory and descriptors are afterwards what they were before.

[The catalogue](../{catalogue}) has the rows; a test names those that it tests,
`@pytest.mark.hostile("H01")`, and this page is made of both. `-m hostile` runs them all.
{count} rows, {tests} tests, most of them with many inputs. Numbers have gaps.
"""


class Row(NamedTuple):
    """One row: its number, and three texts in Markdown."""

    id: str
    where: str
    what: str
    answer: str


class Test(NamedTuple):
    """A test function: its file, from the root on, and its name."""

    path: str
    name: str


def read_rows(root: Path) -> dict[str, list[Row]]:
    """Give the rows by section, in their order.

    Raises:
        SystemExit: a number is there twice.

    """
    document = tomllib.loads((root / CATALOGUE).read_text("utf-8"))
    sections = {
        title: [Row(number, *texts) for number, texts in rows.items()]
        for title, rows in document.items()
    }
    numbers = [row.id for rows in sections.values() for row in rows]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    if twice:
        raise SystemExit(f"{CATALOGUE} has {', '.join(twice)} twice")
    return sections


def read_tests(root: Path) -> dict[str, list[Test]]:
    """Give the tests of each number that a marker names, in the order of their files."""
    found: dict[str, list[Test]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        source = path.read_text("utf-8")
        if "mark.hostile" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                test = Test(path.relative_to(root).as_posix(), node.name)
                for number in _numbers(node):
                    found.setdefault(number, []).append(test)
    return found


def _numbers(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        match decorator:
            case ast.Call(func=ast.Attribute(attr="hostile"), args=arguments):
                for argument in arguments:
                    yield ast.literal_eval(argument)


def hostile(root: Path) -> str:
    """Give the page."""
    sections, tests = read_rows(root), read_tests(root)
    head = _HEAD.format(
        catalogue=CATALOGUE,
        count=sum(len(rows) for rows in sections.values()),
        tests=len({test for found in tests.values() for test in found}),
    )
    lines = [head.strip()]
    for title, rows in sections.items():
        lines += ["", f"## {title}", "", "| | where | what | what comes of it | tested by |"]
        lines.append("|---|---|---|---|---|")
        for row in rows:
            cells = [row.id, *(cell.replace("|", "\\|") for cell in row[1:])]
            lines.append(f"| {' | '.join([*cells, _links(tests.get(row.id, []))])} |")
    return "\n".join([*lines, ""])


def _links(tests: list[Test]) -> str:
    """Name the tests, those of one file behind a link to it."""
    files: dict[str, list[str]] = {}
    for test in tests:
        files.setdefault(test.path, []).append(f"`{test.name.removeprefix('test_')}`")
    return "<br>".join(
        f"[{path.removeprefix('tests/')}](../{path}): {', '.join(names)}"
        for path, names in files.items()
    )
