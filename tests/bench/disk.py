"""What the disk alone allows: one writer that appends a line and syncs it, again and again."""

import os
import time
from pathlib import Path


def synced_writes(folder: Path, size_bytes: int, seconds: float) -> float:
    """Give how many appends of such a size one thread makes durable in a second.

    As the room's writer does: a file that grows, write(2) and fdatasync(2). The file is in
    ``folder``, so that it is on the same file system, and is removed.
    """
    line = b"z" * (size_bytes - 1) + b"\n"
    path = folder / "synced-writes"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        count = 0
        start = now = time.perf_counter()
        while now < start + seconds:
            os.write(descriptor, line)
            os.fdatasync(descriptor)
            count += 1
            now = time.perf_counter()
        return count / (now - start)
    finally:
        os.close(descriptor)
        path.unlink()
