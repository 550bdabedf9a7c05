"""Nothing in `storage` goes past the disk, or a test that stands in for it would see a half."""

import ast
from pathlib import Path
from typing import Final

import pytest

import agentgather.storage

FOLDER: Final = Path(agentgather.storage.__file__).parent
OF_OS: Final = frozenset(
    {
        *("write", "pwrite", "writev", "fsync", "fdatasync", "sync", "truncate", "ftruncate"),
        *("link", "symlink", "rename", "replace", "unlink", "remove", "open"),
        *("mkdir", "makedirs", "rmdir"),
    }
)
OF_PATH: Final = frozenset(
    {
        *("write_bytes", "write_text", "touch", "rename", "unlink", "hardlink_to", "symlink_to"),
        *("mkdir", "rmdir"),
    }
)
EXCEPTIONS: Final = {
    "disk.py": "it is the disk",
    "lock.py": "the number in a lock is for people, and nobody waits until it is durable",
}


def goes_past(call: ast.Call) -> bool:
    """Say whether a call changes a file without the disk."""
    function = call.func
    if not isinstance(function, ast.Attribute):
        return False
    name, receiver = function.attr, ast.unparse(function.value)
    if receiver in ("disk", "self._disk", "OS_DISK"):
        return False
    if receiver == "os":
        only_reads = name == "open" and "O_CREAT" not in ast.unparse(call)
        return name in OF_OS and not only_reads
    # A text's own `replace` takes two.
    return name in OF_PATH or (name == "replace" and len(call.args) == 1)


def calls_past(source: str) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and goes_past(node)
    ]


def test_every_change_of_a_file_goes_through_the_disk() -> None:
    faults = [
        f"{path.name}:{line}"
        for path in sorted(FOLDER.glob("*.py"))
        if path.name not in EXCEPTIONS
        for line in calls_past(path.read_text("utf-8"))
    ]
    assert faults == [], "what goes past the disk is in no test of power cuts and kills"


@pytest.mark.parametrize(
    "source",
    ["os.rename(a, b)", "path.unlink()", "path.replace(name)", "os.open(path, os.O_CREAT)"],
)
def test_a_call_past_the_disk_is_noticed(source: str) -> None:
    assert calls_past(source) == [1]
    assert calls_past("disk.unlink(path); text.replace(':', ''); os.open(path, os.O_RDONLY)") == []
