"""A state directory that a newer program wrote: refused before anything in it is touched."""

import sqlite3
from pathlib import Path

import pytest

from agentgather.broker.database import LAYOUT_VERSION
from agentgather.broker.state import open_state
from agentgather.broker.state_directory import StateError

CHANGES = {
    "another table": ["CREATE TABLE notes (x)"],
    "a write-ahead log": ["PRAGMA journal_mode = WAL"],
    "what this SQLite cannot read": [
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = 'CREATE TABLE tokens (id FUTURE WORDS (' "
        "WHERE name = 'tokens'",
    ],
}


@pytest.mark.hostile("B18", "D05")
@pytest.mark.parametrize("statements", CHANGES.values(), ids=CHANGES.keys())
def test_a_newer_layout_is_refused_as_such_and_left_as_it_is(
    tmp_path: Path, statements: list[str]
) -> None:
    path = tmp_path / "state"
    open_state(path).close()
    database = path / "state.sqlite3"
    connection = sqlite3.connect(database, isolation_level=None)
    for statement in (*statements, f"PRAGMA user_version = {LAYOUT_VERSION + 1}"):
        connection.execute(statement)
    connection.close()
    before = {one.name: one.read_bytes() for one in path.iterdir()}
    text = rf"newer agentgather \(layout {LAYOUT_VERSION + 1}, .* up to {LAYOUT_VERSION}\)"
    for serving in (True, False):
        with pytest.raises(StateError, match=text) as refused:
            open_state(path, serving=serving)
        assert "move it away" not in str(refused.value)
    after = {one.name: one.read_bytes() for one in path.iterdir()}
    assert after.pop("lock") == b""
    assert after == before
