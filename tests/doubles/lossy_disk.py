"""A disk that forgets what was not synced, and fails when it is told to.

It works on real files. ``power_cut`` puts them back to what a disk may hold afterwards:
the names as of each directory's last sync, the content as of each file's last sync.
"""

import os
from pathlib import Path

from agentgather.storage.disk import OS_DISK


class PowerCut(BaseException):
    """The machine stops here: nothing may catch this but the test."""


class LossyDisk:
    """Stands in for ``storage.disk.Disk``. What lies in ``directory`` now is durable."""

    def __init__(self, directory: Path) -> None:
        self.calls: list[str] = []
        self.cut_at: int | None = None
        """The number of the call, from 0, at which the power goes."""
        self._directory = directory
        self._faults: dict[str, list[tuple[int, int]]] = {}
        self._content: dict[int, bytes] = {}
        self._names: dict[str, int] = {}
        # An open file keeps its inode number, by which we know it.
        self._held: dict[int, int] = {}
        for path in directory.iterdir():
            if path.is_file():
                self._content[path.stat().st_ino] = path.read_bytes()
        self._note_names()

    def fail(self, call: str, code: int, *, after: int = 0, times: int = 1) -> None:
        """Let a call fail with an errno, once ``after`` further ones went well."""
        self._faults.setdefault(call, []).extend((after, code) for _ in range(times))

    def create(self, path: Path, flags: int, mode: int) -> int:
        self._count("create")
        return OS_DISK.create(path, flags, mode)

    def make_directory(self, path: Path, mode: int) -> None:
        self._count("make_directory")
        OS_DISK.make_directory(path, mode)

    def write(self, descriptor: int, data: memoryview) -> int:
        self._count("write-half")
        if len(data) > 1:
            # Never all at once: who writes has to go on.
            OS_DISK.write(descriptor, data[: len(data) // 2])
            self._count("write")
            return len(data) // 2
        self._count("write")
        return OS_DISK.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._count("sync")
        number = os.fstat(descriptor).st_ino
        size = os.fstat(descriptor).st_size
        readable = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
        self._content[number] = os.pread(readable, size, 0)
        self._hold(number, readable)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        self._count("truncate")
        OS_DISK.truncate(descriptor, size_bytes)

    def link(self, path: Path, name: Path) -> None:
        self._count("link")
        OS_DISK.link(path, name)

    def rename(self, path: Path, name: Path) -> None:
        self._count("rename")
        OS_DISK.rename(path, name)

    def unlink(self, path: Path) -> None:
        self._count("unlink")
        OS_DISK.unlink(path)

    def sync_directory(self, descriptor: int) -> None:
        self._count("sync_directory")
        assert os.fstat(descriptor).st_ino == self._directory.stat().st_ino
        self._note_names()

    def power_cut(self, *, torn_bytes: int = 0) -> None:
        """Lose what was not synced, but for the first ``torn_bytes`` of what was appended."""
        kept: dict[str, bytes] = {}
        for name, number in self._names.items():
            durable = self._content.get(number, b"")
            if number in self._held:
                now = os.pread(self._held[number], os.fstat(self._held[number]).st_size, 0)
                if now.startswith(durable):
                    durable = now[: len(durable) + torn_bytes]
            kept[name] = durable
        for path in self._directory.iterdir():
            if path.is_file():
                path.unlink()
        for name, content in kept.items():
            path = self._directory / name
            path.touch(0o600)
            path.write_bytes(content)
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def _note_names(self) -> None:
        self._names = {}
        for path in self._directory.iterdir():
            if path.is_file():
                number = path.stat().st_ino
                self._names[path.name] = number
                if number not in self._held:
                    self._hold(number, os.open(path, os.O_RDONLY))

    def _hold(self, number: int, descriptor: int) -> None:
        if number in self._held:
            os.close(self._held[number])
        self._held[number] = descriptor

    def _count(self, call: str) -> None:
        if self.cut_at == len(self.calls):
            raise PowerCut
        self.calls.append(call)
        faults = self._faults.get(call)
        if faults:
            after, code = faults[0]
            if after:
                faults[0] = (after - 1, code)
            else:
                faults.pop(0)
                raise OSError(code, os.strerror(code))
