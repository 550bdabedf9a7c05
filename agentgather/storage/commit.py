"""Group commit: the one way that a room's changes reach its files.

    caller, synchronous          run()                         writer thread
     decide, stage, apply  -->  takes all that waits   -->  small files, then one append
                                on_durable(count)      <--  and one sync
     wait_durable() returns <-- wakes the waiters

There is no timer: a batch is what arrived while the one before was written, so an idle
room pays one sync per change and a busy one shares it.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Final, NamedTuple, Protocol, Self

import outcome
import trio

from agentgather.storage.failures import StorageBusy, StorageFailed, StorageFull
from agentgather.wire.errors import Unavailable
from agentgather.wire.limits import (
    MAX_COMMIT_BATCH,
    MAX_COMMIT_BYTES,
    MAX_STAGED,
    MAX_STAGED_BYTES,
)

logger: Final = logging.getLogger(__name__)


_RETRY_SECONDS: Final = 1
_PASSING: Final = frozenset({"overloaded", "shutting_down"})


class Change(NamedTuple):
    """What is to be stored: whole log lines, and small files by their name.

    A file's content None removes it.
    """

    lines: bytes = b""
    files: tuple[tuple[str, bytes | None], ...] = ()


class RoomStore(Protocol):
    """Where batches go. Called by one thread, one call at a time."""

    def write(self, files: Mapping[str, bytes | None], lines: bytes) -> None:
        """Store small files and log lines, all durable when this returns.

        Raises:
            StorageFull: there was no space; nothing of it is stored.
            StorageBusy: something else ran out for now; nothing of it is stored.
            StorageFailed: what is stored is not known, now and for ever after.

        """


class Staged:
    """Changes that become durable together; every caller that staged one has the same."""

    __slots__ = ("_code", "_files", "_is_taken", "_lines", "_settled", "_size_bytes", "_undos")

    def __init__(self) -> None:
        self._files: dict[str, bytes | None] = {}
        self._lines: list[bytes] = []
        self._undos: list[Callable[[], None]] = []
        self._size_bytes = 0
        self._is_taken = False
        self._code: str | None = None
        self._settled = trio.Event()

    async def wait_durable(self) -> None:
        """Return once the changes are durable. Cancelling this does not undo them.

        Raises:
            Unavailable: ``storage_full``, ``storage_failed``, ``overloaded`` or
                ``shutting_down``; the changes were undone.

        """
        await self._settled.wait()
        if self._code is not None:
            soon = self._code in _PASSING
            raise Unavailable(self._code, retry_after=_RETRY_SECONDS if soon else None)

    def _settle(self, code: str | None = None) -> None:
        self._code = code
        # Whoever keeps the handle does not keep the content.
        self._files, self._lines, self._undos = {}, [], []
        self._settled.set()


class GroupCommit:
    """The only writer of a room's files while a process owns it.

    ``on_durable(count)`` is called once per batch with how many changes, oldest first,
    became durable, before those who wait for them wake.
    """

    def __init__(self, store: RoomStore, *, on_durable: Callable[[int], None]) -> None:
        self.failed = False
        """Whether the disk failed. Nothing is taken any more until the room is reopened."""
        self._store = store
        self._on_durable = on_durable
        self._batches: deque[Staged] = deque()
        self._staged = 0
        self._staged_bytes = 0
        self._closed = False
        self._work = trio.Event()

    def stage(self, change: Change, *, undo: Callable[[], None]) -> Staged:
        """Take a change to be stored after all that were staged before.

        Synchronous, so that a caller can decide, stage and apply with no other task in
        between. ``undo`` takes back what the caller applied; if storing fails it is called
        after the undoing of all later changes, whose callers decided on top of this one.

        Raises:
            Unavailable: ``overloaded``, ``storage_failed`` or ``shutting_down``. Nothing
                was staged, and ``undo`` is not called.

        """
        if self.failed:
            raise Unavailable("storage_failed")
        if self._closed:
            raise Unavailable("shutting_down", retry_after=_RETRY_SECONDS)
        size_bytes = len(change.lines)
        for _, content in change.files:
            size_bytes += len(content or b"")
        if self._staged >= MAX_STAGED or self._staged_bytes > MAX_STAGED_BYTES:
            raise Unavailable("overloaded", retry_after=_RETRY_SECONDS)
        batch = self._open_batch(size_bytes)
        if change.lines:
            batch._lines.append(change.lines)
        for name, content in change.files:
            # Only the last version of a file is written, so only that one counts.
            size_bytes -= len(batch._files.get(name) or b"")
            batch._files[name] = content
        batch._undos.append(undo)
        batch._size_bytes += size_bytes
        self._staged += 1
        self._staged_bytes += size_bytes
        return batch

    def close(self) -> None:
        """Take no more; :meth:`run` returns once all that is staged is durable."""
        self._closed = True
        self._work.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Store what is staged, until :meth:`close`. Exactly one task runs this.

        Cancelling it ends the batch that is being written, and undoes those behind it.
        """
        with _WriterThread() as thread:
            task_status.started()
            try:
                while self._batches or not self._closed:
                    if self._batches:
                        await self._store_first(thread)
                    else:
                        self._work = trio.Event()
                        await self._work.wait()
            finally:
                self._closed = True
                self._undo_all("shutting_down")

    async def _store_first(self, thread: "_WriterThread") -> None:
        batch = self._batches[0]
        batch._is_taken = True
        try:
            await thread.run(lambda: self._store.write(batch._files, b"".join(batch._lines)))
        except StorageFull as error:
            logger.warning("the disk is full, changes were refused: %s", error)
            self._undo_all("storage_full")
        except (StorageBusy, MemoryError) as error:
            logger.warning("changes were refused: %s", error)
            self._undo_all("overloaded")
        except StorageFailed as error:
            logger.error("the disk failed, the room is read-only until a restart: %s", error)  # noqa: TRY400
            self.failed = True
            self._undo_all("storage_failed")
        except Exception:
            # A bug of ours. What is on the disk is not known, which is a failed disk.
            logger.exception("storing failed, the room is read-only until a restart")
            self.failed = True
            self._undo_all("storage_failed")
        else:
            self._batches.popleft()
            count = len(batch._undos)
            self._staged -= count
            self._staged_bytes -= batch._size_bytes
            self._on_durable(count)
            batch._settle()

    def _open_batch(self, size_bytes: int) -> Staged:
        if self._batches:
            last = self._batches[-1]
            if (
                not last._is_taken
                and len(last._undos) < MAX_COMMIT_BATCH
                and last._size_bytes + size_bytes <= MAX_COMMIT_BYTES
            ):
                return last
        else:
            self._work.set()
        batch = Staged()
        self._batches.append(batch)
        return batch

    def _undo_all(self, code: str) -> None:
        """Take back all that waits, newest first: each was decided on top of those before."""
        batches = list(self._batches)
        self._batches.clear()
        self._staged = self._staged_bytes = 0
        for batch in reversed(batches):
            for undo in reversed(batch._undos):
                undo()
        for batch in batches:
            batch._settle(code)


class _WriterThread:
    """One thread for all writes of a room.

    ``trio.to_thread`` hands each call to a thread anew and copies a context for it; for a
    lone poster that was a third of the time from stage to durable.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Callable[[], None], trio.lowlevel.Task] | None]
        self._jobs = SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.Thread(target=self._work, name="room writer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Idle by now, because run() is not left while a job is under way.
        self._jobs.put(None)
        self._thread.join()

    async def run(self, job: Callable[[], None]) -> None:
        """Do a job to its end; a cancellation waits for it."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._jobs.put((job, trio.lowlevel.current_task()))
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            call, task = job
            result = outcome.capture(call)
            self._token.run_sync_soon(trio.lowlevel.reschedule, task, result)
