"""No message starts a program, because the program starts none."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "agentgather"
MODULES = {"subprocess", "pty", "multiprocessing", "concurrent", "ctypes", "code", "runpy"}
CALLS = {
    *("system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp", "startfile"),
    *("run_process", "open_process", "eval", "exec"),
    *(f"exec{end}" for end in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
    *(f"spawn{end}" for end in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
}


def ways_out(source: str) -> Iterator[str]:
    """Give what could start a program or run a text. Functions of ours may have any name."""
    nodes = list(ast.walk(ast.parse(source)))
    own = {one.name for one in nodes if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in nodes:
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module.startswith(
                "agentgather"
            ):
                own |= {one.name for one in names}
    for node in nodes:
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names if one.name.partition(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module), names=names):
                if module.partition(".")[0] in MODULES:
                    yield module
                if not module.startswith("agentgather"):
                    yield from (one.name for one in names if one.name in CALLS)
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)) if name in CALLS - own:
                yield name


@pytest.mark.hostile("I03")
def test_no_module_starts_a_program() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): names
        for path in PACKAGE.rglob("*.py")
        if (names := list(ways_out(path.read_text("utf-8"))))
    }
    assert found == {}, "a text that reaches a shell is an order; hand out data instead"


@pytest.mark.hostile("I03")
@pytest.mark.parametrize(
    "source",
    [
        *("import subprocess", "import os\nos.system('x')", "from os import execv"),
        *("import trio\ntrio.run_process([])", "eval('x')", "import concurrent.futures"),
    ],
)
def test_a_way_out_would_be_found(source: str) -> None:
    assert list(ways_out(source))
