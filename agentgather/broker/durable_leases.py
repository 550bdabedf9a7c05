"""Leases on their way to the disk and back."""

import logging
import time
from typing import Final

import trio

from agentgather.broker.leases import Lease
from agentgather.broker.state import State
from agentgather.broker.state_directory import StateError
from agentgather.broker.stored_lease import StoredLease, age_at_start
from agentgather.wire.errors import Unavailable

logger: Final = logging.getLogger(__name__)


class DurableLeases:
    """Leases of one state directory, written in a thread: the disk takes milliseconds."""

    def __init__(self, state: State, lifetime_seconds: float) -> None:
        self._state = state
        self._lifetime_seconds = lifetime_seconds

    async def keep(self, slug_hash: str, owner: bytes) -> None:
        """Make a new lease durable.

        Raises:
            Unavailable: ``storage_failed``.

        """
        now = int(time.time())
        lease = StoredLease(slug_hash, owner, now, now + int(self._lifetime_seconds))
        try:
            await trio.to_thread.run_sync(self._state.put_lease, lease)
        except StateError:
            logger.exception("a lease could not be stored")
            raise Unavailable("storage_failed", "try again later", retry_after=60) from None

    async def is_token(self, token: str) -> bool:
        """Say whether a registration token is good.

        Raises:
            Unavailable: ``storage_failed``.

        """
        try:
            return await trio.to_thread.run_sync(self._state.use_token, token, int(time.time()))
        except StateError:
            logger.exception("a registration token could not be looked up")
            raise Unavailable("storage_failed", "try again later", retry_after=60) from None

    async def drop(self, slug_hash: str) -> None:
        """Forget a lease; one that stays is forgotten at the next start."""
        try:
            await trio.to_thread.run_sync(self._state.drop_lease, slug_hash)
        except StateError:
            logger.exception("a lease could not be dropped")

    def load(self) -> dict[str, Lease]:
        """Give the leases that are not over. Blocks.

        Raises:
            StateError: they cannot be read.

        """
        now, wall = trio.current_time(), time.time()
        ages = {lease: age_at_start(lease, wall) for lease in self._state.load_leases()}
        return {
            lease.slug_hash: Lease(lease.owner, now - age)
            for lease, age in ages.items()
            if age is not None
        }
