"""The database of the state directory: opened, checked, laid out.

A rollback journal and ``synchronous=EXTRA``: what a call has returned from is on the disk,
also after a power cut, there is one file between calls, and any number of processes may
use it at once.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agentgather.broker.state_directory import StateError, open_private, sync_directory

BUSY_SECONDS: Final = 5
"""How long one process waits for another's transaction, which takes milliseconds."""
APPLICATION_ID: Final = 0x61676231
"""``agb1``, in the file's head, for ``file`` and for us: SQLite, pragma application_id."""
LAYOUT_VERSION: Final = 1

_LAYOUT: Final = (
    """CREATE TABLE leases (
        slug_hash TEXT PRIMARY KEY,
        owner BLOB NOT NULL,
        created_wall_s INTEGER NOT NULL,
        ends_wall_s INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE tokens (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        hash BLOB NOT NULL UNIQUE,
        label TEXT UNIQUE,
        created_wall_s INTEGER NOT NULL,
        last_used_day INTEGER,
        expires_wall_s INTEGER
    )""",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {LAYOUT_VERSION}",
)


def open_database(path: Path) -> sqlite3.Connection:
    """Open the database, and make it where there is none. Blocks.

    One thread at a time may use the connection; the caller sees to that and closes it.

    Raises:
        StateError: it is damaged, another program's, or a newer version's; or the disk
            fails.
        OSError: it cannot be opened.

    """
    is_new = not path.exists()
    # SQLite would follow a link, and make the file as the umask says.
    os.close(open_private(path, os.O_RDWR | os.O_CREAT))
    if is_new:
        sync_directory(path.parent)
    with errors_translated(path):
        # Autocommit: a transaction begins where it says so.
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            # First of all: the next line would change the file, and a check of its tables
            # may call damaged what only a newer program understands.
            _refuse_newer(path, connection)
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("PRAGMA synchronous = EXTRA")
            # What is deleted is overwritten too: a lease that ended is nobody's business.
            connection.execute("PRAGMA secure_delete = ON")
            _check_layout(path, connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _check_layout(path: Path, connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise StateError(_damaged(path))
    with transaction(connection):
        # Inside, so that of two processes one lays it out and the other sees that.
        is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        application, version = _head(connection)
        if is_empty and application == 0 and version == 0:
            for statement in _LAYOUT:
                connection.execute(statement)
            return
    if application != APPLICATION_ID:
        raise StateError(f"{path} is another program's; name another --state-dir")
    _refuse_newer(path, connection)


def _refuse_newer(path: Path, connection: sqlite3.Connection) -> None:
    """Look at the numbers in the file's head, which is all that every version has alike."""
    application, version = _head(connection)
    if application == APPLICATION_ID and version > LAYOUT_VERSION:
        raise StateError(
            f"{path} was written by a newer agentgather (layout {version}, this one reads up to "
            f"{LAYOUT_VERSION}); use that one, or another --state-dir"
        )


def _head(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all of the block or nothing of it, and alone: nobody else writes meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.commit()
    except BaseException:
        # Also where the disk failed the commit: nobody could begin another one.
        if connection.in_transaction:
            connection.rollback()
        raise


@contextmanager
def errors_translated(path: Path) -> Iterator[None]:
    """Say what an error of SQLite means for the operator.

    Raises:
        StateError: in its place.

    """
    try:
        yield
    except sqlite3.Error as error:
        # The low byte is the kind of error, the rest its variant.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StateError(f"{path} is in use by another process; try again") from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise StateError(_damaged(path)) from error
        if isinstance(error, sqlite3.OperationalError):
            raise StateError(f"{path}: {error}") from error
        raise


def _damaged(path: Path) -> str:
    return (
        f"{path} is damaged, or no database; restore it, or move it away: its leases and "
        "registration tokens are lost then, and hosts claim their slugs anew"
    )
