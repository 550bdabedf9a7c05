"""What of a broker outlives its process: leases of slugs, and registration tokens.

No slug, address or token is in it, only hashes. Every method blocks for a few milliseconds
of disk, so a Trio task calls it in a thread, and is durable when it returns. Other processes
may use the directory meanwhile: ``broker token add`` works while the broker runs.
"""

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agentgather.broker.database import errors_translated, open_database, transaction
from agentgather.broker.hashes import token_hash
from agentgather.broker.state_directory import StateError, ensure_directory, read_key, take_lock
from agentgather.broker.stored_lease import StoredLease
from agentgather.broker.stored_token import (
    SECONDS_PER_DAY,
    TOKEN_ENTROPY_BYTES,
    LabelTaken,
    StoredToken,
    is_registration_token,
    mint_registration_token,
)

logger: Final = logging.getLogger(__name__)


class State:
    """An open state directory. Any thread may use it, one at a time; the others wait."""

    def __init__(
        self, path: Path, key: bytes, connection: sqlite3.Connection, lock: int | None
    ) -> None:
        self.key: Final = key
        """32 bytes that no other broker has."""
        self._path = path
        self._connection = connection
        self._lock = lock
        self._turn = threading.Lock()
        self._is_note_missing = False

    def close(self) -> None:
        """Give the directory free."""
        with self._turn:
            self._connection.close()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._turn, errors_translated(self._path), transaction(self._connection):
            yield self._connection

    @contextmanager
    def _look(self) -> Iterator[sqlite3.Connection]:
        with self._turn, errors_translated(self._path):
            yield self._connection

    # --- Leases ---------------------------------------------------------------------
    def load_leases(self) -> list[StoredLease]:
        """Give all leases, also those that are over.

        Raises:
            StateError: as do all methods: the disk or the database fails.

        """
        with self._look() as connection:
            rows = connection.execute(
                "SELECT slug_hash, owner, created_wall_s, ends_wall_s FROM leases"
            ).fetchall()
        return [StoredLease(*row) for row in rows]

    def put_lease(self, lease: StoredLease) -> None:
        """Keep a lease, in place of the one of the same slug."""
        with self._change() as connection:
            connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)", lease)

    def drop_lease(self, *slug_hashes: str) -> None:
        """Forget leases; one that is not there is none to forget."""
        with self._change() as connection:
            connection.executemany(
                "DELETE FROM leases WHERE slug_hash = ?", [(one,) for one in slug_hashes]
            )

    # --- Registration tokens -----------------------------------------------------------
    def use_token(self, token: str, now_wall_s: int) -> bool:
        """Say whether a token lets a host register, and note the day if the disk takes it."""
        if not is_registration_token(token):
            return False
        day = now_wall_s // SECONDS_PER_DAY
        with self._look() as connection:
            row = connection.execute(
                "SELECT id, last_used_day, expires_wall_s FROM tokens WHERE hash = ?",
                (token_hash(token),),
            ).fetchone()
        if row is None or (row[2] is not None and now_wall_s >= row[2]):
            return False
        if row[1] != day:
            self._note_use(row[0], day)
        return True

    def _note_use(self, token_id: int, day: int) -> None:
        """Note a token's use. The note is for the operator: without it the token is as good."""
        try:
            with self._change() as connection:
                connection.execute(
                    "UPDATE tokens SET last_used_day = ? WHERE id = ?", (day, token_id)
                )
        except StateError as error:
            # Each host that comes would say it again.
            if not self._is_note_missing:
                logger.warning("the use of a registration token could not be noted: %s", error)
            self._is_note_missing = True
        else:
            self._is_note_missing = False

    def add_token(
        self,
        label: str | None,
        *,
        now_wall_s: int,
        expires_wall_s: int | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> tuple[int, str]:
        """Make a token; give its id and, this once, the token itself.

        Raises:
            LabelTaken: another token has the label.

        """
        token = mint_registration_token(entropy(TOKEN_ENTROPY_BYTES))
        with self._change() as connection:
            if label is not None and _ids(connection, label):
                raise LabelTaken
            cursor = connection.execute(
                "INSERT INTO tokens (hash, label, created_wall_s, expires_wall_s) "
                "VALUES (?, ?, ?, ?)",
                (token_hash(token), label, now_wall_s, expires_wall_s),
            )
        assert cursor.lastrowid is not None
        return cursor.lastrowid, token

    def list_tokens(self) -> list[StoredToken]:
        """Give all tokens, oldest first, also those that have expired."""
        with self._look() as connection:
            rows = connection.execute(
                "SELECT id, label, created_wall_s, last_used_day, expires_wall_s FROM tokens "
                "ORDER BY id"
            ).fetchall()
        return [StoredToken(*row) for row in rows]

    def revoke_token(self, id_or_label: str) -> bool:
        """Forget a token; False where there is none of that id or label."""
        with self._change() as connection:
            ids = _ids(connection, id_or_label)
            connection.executemany("DELETE FROM tokens WHERE id = ?", ids)
        return bool(ids)


def _ids(connection: sqlite3.Connection, id_or_label: str) -> list[tuple[int]]:
    """Give the ids of what is called so: one, or none."""
    found: list[tuple[int]] = connection.execute(
        "SELECT id FROM tokens WHERE label = ? OR CAST(id AS TEXT) = ?", (id_or_label, id_or_label)
    ).fetchall()
    return found


def open_state(
    path: Path,
    *,
    serving: bool = False,
    create: bool = True,
    entropy: Callable[[int], bytes] = os.urandom,
) -> State:
    """Open a state directory; the caller closes it. Blocks.

    With ``serving`` this process is the one broker that runs on it, until it closes it.

    Raises:
        StateError: it is unsafe, damaged, in use, or a newer version's; with ``create``
            false also: it is not there. The text is for the operator.
        OSError: something in it cannot be opened.

    """
    directory = ensure_directory(path, create=create)
    lock = take_lock(directory) if serving else None
    try:
        key = read_key(directory, entropy)
        database = directory / "state.sqlite3"
        return State(database, key, open_database(database), lock)
    except BaseException:
        if lock is not None:
            os.close(lock)
        raise
