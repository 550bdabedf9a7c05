"""Who may import whom. The table is the architecture; each row says why."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = ROOT / "agentgather"
OURS: Final = frozenset(
    {
        *("wire", "domain", "edge", "link", "storage", "page"),
        *("server", "tunnel", "broker", "conformance", "cli"),
    }
)


class Layer(NamedTuple):
    """One row: what of ours a package may import, what of others' it may not, and why."""

    may: frozenset[str]
    never: frozenset[str]
    because: str


def row(may: str, never: str, because: str) -> Layer:
    return Layer(frozenset(may.split()), frozenset(never.split()), because)


IO: Final = "trio os logging socket asyncio threading subprocess"
LAYERS: Final = {
    "wire": row("", IO, "it is declarations and codecs; spec/ is generated from them"),
    "domain": row(
        "wire", f"{IO} time random secrets", "nothing can run between a check and its change"
    ),
    "edge": row("wire", "", "bytes know no rooms"),
    "link": row("wire", "", "bytes know no rooms"),
    "storage": row("wire domain", "socket ssl http hypercorn quart", "disks, not networks"),
    "page": row("wire", "", "the page is files, and text made safe"),
    "server": row(
        "wire domain edge storage page", "", "a room is served the same with or without a tunnel"
    ),
    "tunnel": row("wire edge link", "", "it carries requests to a responder it is given"),
    "broker": row(
        "wire edge link page", "", "'the broker keeps nothing' is to be true by construction"
    ),
    "conformance": row(
        "wire", "", "it is to find what the program gets wrong, and must not get it wrong with it"
    ),
    "cli": row(" ".join(OURS), "", "it is the only place where the parts are wired together"),
}

MOST_LINES: Final = 200
# A long file needs a reason that is about the file, not about the time it takes to split.
LONG_FILES: Final = {
    "domain/room.py": "every decision about one room, which share its state",
    "server/live_room.py": "every change of a live room is one synchronous stretch of one object",
    "storage/commit.py": "the batches and the thread that writes them are one conversation",
    "storage/files.py": "every rule on what may lie at a path, which are only safe together",
    "storage/home.py": "one method for each thing that a home holds",
    "storage/journal.py": "opening, appending and recovery share what a sound log is",
    "storage/stored_room.py": "one reader for each small file of a room",
    "wire/api.py": "a list of declarations",
    "wire/limits.py": "a list of declarations",
    "wire/link.py": "one protocol, declared in one place",
    "wire/records.py": "a list of declarations",
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def layer_of(path: Path) -> str | None:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


class Import(NamedTuple):
    """One imported name. ``module`` is absolute; ``name`` is empty for ``import module``."""

    line: int
    module: str
    name: str


def imports(tree: ast.AST) -> Iterator[Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name, "")
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield Import(node.lineno, node.module or "", alias.name)


def our_package(found: Import) -> str | None:
    """Give the package of ours that an import reaches; None if it is not one."""
    parts = [*found.module.split("."), found.name]
    if parts[0] != "agentgather" or len(parts) < 2 or parts[1] not in OURS:
        return None
    return parts[1]


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def report(faults: list[str], because: str) -> None:
    assert not faults, "\n".join([f"because {because}:", *(f"  {fault}" for fault in faults)])


def test_every_package_has_a_row() -> None:
    found = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    report(sorted(found - LAYERS.keys()), "a package without a row could import anything")


@pytest.mark.parametrize("package", sorted(LAYERS))
def test_a_package_imports_only_what_its_row_allows(package: str) -> None:
    layer = LAYERS[package]
    faults = []
    for path in sorted((PACKAGE / package).rglob("*.py")):
        for found in imports(parse(path)):
            ours = our_package(found)
            top = found.module.partition(".")[0]
            if ours is not None and ours != package and ours not in layer.may:
                faults.append(f"{name_of(path)}:{found.line} imports agentgather.{ours}")
            if top in layer.never:
                faults.append(f"{name_of(path)}:{found.line} imports {top}")
    report(faults, layer.because)


def test_nothing_imports_the_command_line() -> None:
    faults = [
        f"{name_of(path)}:{found.line}"
        for path in modules()
        if layer_of(path) != "cli" and path.name != "__main__.py"
        for found in imports(parse(path))
        if our_package(found) == "cli"
    ]
    report(faults, "a part that knows the command line can be used in nothing else")


def test_imports_are_absolute() -> None:
    faults = [
        f"{name_of(path)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    report(faults, "a relative import hides which layer it reaches")


def test_an_import_inside_a_function_says_why() -> None:
    faults = []
    for path in modules():
        lines = path.read_text("utf-8").splitlines()
        for function in ast.walk(parse(path)):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom) and not says_why(lines, node):
                    faults.append(f"{name_of(path)}:{node.lineno}")
    report(sorted(set(faults)), "only start-up time is a reason, and then a comment says so")


def says_why(lines: list[str], node: ast.stmt) -> bool:
    """Look for a comment on an import's lines, or above the block of imports it is in."""
    assert node.end_lineno is not None
    if any("#" in line for line in lines[node.lineno - 1 : node.end_lineno]):
        return True
    above = node.lineno - 2
    # Blank lines too: the formatter parts ours from others'.
    while above >= 0 and re.match(r"\s*(import |from |$)", lines[above]):
        above -= 1
    return lines[above].lstrip().startswith("#")


def test_no_import_is_for_the_type_checker_alone() -> None:
    faults = [
        f"{name_of(path)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(parse(path))
        if (isinstance(node, ast.Name) and node.id == "TYPE_CHECKING")
        or (isinstance(node, ast.Attribute) and node.attr == "TYPE_CHECKING")
    ]
    report(faults, "it only hides a cycle, and msgspec reads annotations at run time")


def test_annotations_are_not_postponed() -> None:
    faults = [
        f"{name_of(path)}:{found.line}"
        for path in modules()
        for found in imports(parse(path))
        if (found.module, found.name) == ("__future__", "annotations")
    ]
    report(faults, "msgspec reads annotations at run time")


def test_a_name_is_imported_from_where_it_is_declared() -> None:
    declared = {path: set(declarations(parse(path))) for path in modules()}
    faults = []
    for path in modules():
        for found in imports(parse(path)):
            if our_package(found) is None or not found.name:
                continue
            source = ROOT / found.module.replace(".", "/")
            if is_module(source / found.name):
                continue
            file = source.with_suffix(".py")
            if found.name not in declared.get(file, declared.get(source / "__init__.py", set())):
                faults.append(f"{name_of(path)}:{found.line} {found.name} from {found.module}")
    report(faults, "a re-export gives one thing two homes")


def is_module(path: Path) -> bool:
    return path.with_suffix(".py").is_file() or path.is_dir()


def declarations(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def test_a_package_file_holds_its_purpose_and_nothing_else() -> None:
    faults = []
    for path in PACKAGE.rglob("__init__.py"):
        tree = parse(path)
        if ast.get_docstring(tree) is None:
            faults.append(f"{name_of(path)} has no docstring")
        if path.parent != PACKAGE and len(tree.body) > 1:
            faults.append(f"{name_of(path)} has code")
    report(faults, "what a package exports is what its modules declare")


def test_files_are_short() -> None:
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in modules()}
    faults = [
        f"{name}: {length} lines"
        for name, length in lengths.items()
        if length > MOST_LINES and name not in LONG_FILES
    ]
    faults += [
        f"{name} is listed as long and is not"
        for name in LONG_FILES
        if lengths.get(name, 0) <= MOST_LINES
    ]
    report(faults, f"a file is one noun, about 150 lines and at most {MOST_LINES}")


def test_no_file_is_a_drawer() -> None:
    drawers = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
    faults = [name_of(path) for path in modules() if path.stem in drawers]
    report(faults, "such a name says nothing about what is in the file")
