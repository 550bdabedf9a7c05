"""No task without an owner, and no owner without a row in docs/concurrency.md."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = ROOT / "agentgather"
PAGE: Final = ROOT / "docs" / "concurrency.md"
# Trio's own `serve_listeners` takes its connections' nursery; nobody else takes one.
TRIO_PARAMETER: Final = "handler_nursery"
DETACHED: Final = frozenset({"spawn_system_task", "add_background_task", "create_task"})
OPENERS: Final = frozenset({"open_nursery", "TaskGroup"})

Place = str
"""``agentgather/server/service.py:open_live_room``"""


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Give every function with its qualified name, and the statements at the top as ``""``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{node.name}", node
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Walk a function without the functions inside it."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        yield node
        yield from own_nodes(node)


def called_name(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def opened() -> Counter[Place]:
    """Count the nurseries that each function opens."""
    return Counter(
        f"{name}:{function}"
        for name, tree in trees()
        for function, body in functions(tree)
        for node in own_nodes(body)
        if called_name(node) in OPENERS
    )


def rows() -> Counter[Place]:
    """Count the rows of the nursery table by place; a place may open more than one."""
    places = re.findall(r"^\| `(agentgather/[^`]+\.py:[^`]+)` \|", PAGE.read_text("utf-8"), re.M)
    return Counter(places)


def test_every_nursery_has_a_row_and_every_row_a_nursery() -> None:
    missing = sorted((opened() - rows()).elements())
    gone = sorted((rows() - opened()).elements())
    assert not missing, (
        "say in docs/concurrency.md what it owns, what ends it and what a child's error does: "
        f"{missing}"
    )
    assert not gone, f"docs/concurrency.md has rows for nurseries that are not there: {gone}"


def test_a_nursery_is_opened_where_its_block_can_be_seen() -> None:
    faults = []
    for name, tree in trees():
        blocks = {
            id(item.context_expr)
            for node in ast.walk(tree)
            if isinstance(node, ast.AsyncWith)
            for item in node.items
        }
        faults += [
            f"{name}:{node.lineno}"
            for node in ast.walk(tree)
            if called_name(node) == "open_nursery" and id(node) not in blocks
        ]
    assert not faults, f"a nursery's life is its `async with` block, and nothing else: {faults}"


def test_no_nursery_is_kept_on_an_object() -> None:
    faults = []
    for name, tree in trees():
        named = {
            item.optional_vars.id
            for node in ast.walk(tree)
            if isinstance(node, ast.AsyncWith)
            for item in node.items
            if called_name(item.context_expr) in OPENERS
            and isinstance(item.optional_vars, ast.Name)
        }
        for node in ast.walk(tree):
            targets: list[ast.expr] = []
            if isinstance(node, ast.Assign):
                targets = node.targets
            elif isinstance(node, ast.AnnAssign):
                targets = [node.target]
                if "Nursery" in ast.unparse(node.annotation):
                    faults.append(f"{name}:{node.lineno}")
            elif isinstance(node, ast.AsyncWith):
                targets = [item.optional_vars for item in node.items if item.optional_vars]
                if not any(called_name(item.context_expr) in OPENERS for item in node.items):
                    continue
            else:
                continue
            kept = any(isinstance(target, ast.Attribute | ast.Subscript) for target in targets)
            value = getattr(node, "value", None)
            is_nursery = isinstance(value, ast.Name) and value.id in named
            if kept and (is_nursery or isinstance(node, ast.AsyncWith)):
                faults.append(f"{name}:{node.lineno}")
            if any(isinstance(t, ast.Attribute) and "nursery" in t.attr for t in targets):
                faults.append(f"{name}:{node.lineno}")
    assert not faults, f"whoever holds the object could start tasks that nobody owns: {faults}"


def test_no_nursery_is_passed_around() -> None:
    faults = [
        f"{name}:{argument.lineno} {argument.arg}"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.arguments)
        for argument in [*node.posonlyargs, *node.args, *node.kwonlyargs]
        if argument.arg != TRIO_PARAMETER
        and ("nursery" in argument.arg or "Nursery" in ast.unparse(argument.annotation or argument))
    ]
    assert not faults, f"a function starts tasks in nurseries that it opened itself: {faults}"


def test_no_task_is_detached() -> None:
    faults = [
        f"{name}:{node.lineno} {called_name(node)}"
        for name, tree in trees()
        for node in ast.walk(tree)
        if called_name(node) in DETACHED
    ]
    assert not faults, f"a task outlives whoever started it: {faults}"
