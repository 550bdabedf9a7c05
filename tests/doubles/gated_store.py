"""A room's store whose writes wait until the test lets them go."""

import threading
from collections.abc import Mapping

from agentgather.storage.commit import RoomStore


class GatedStore:
    """Stands in for ``storage.commit.RoomStore``, before another one or before nothing."""

    def __init__(self, store: RoomStore | None = None, *, is_open: bool = True) -> None:
        self.batches: list[tuple[dict[str, bytes | None], bytes]] = []
        self.error: BaseException | None = None
        """What the next write raises."""
        self.gate = threading.Event()
        self._store = store
        if is_open:
            self.gate.set()

    def write(self, files: Mapping[str, bytes | None], lines: bytes) -> None:
        self.gate.wait()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        if self._store is not None:
            self._store.write(files, lines)
        self.batches.append((dict(files), lines))
