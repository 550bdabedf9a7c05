"""Folders in memory: a real disk's syncs would take most of the time of many small worlds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

MEMORY: Final = Path("/dev/shm")


@contextmanager
def quick_folder() -> Iterator[Path]:
    """Give a folder in memory, where there is such a thing, for the length of the block."""
    memory = MEMORY if MEMORY.is_dir() else None
    with TemporaryDirectory(
        prefix="agentgather-", dir=memory, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)
