"""What outlives a broker's process: nothing but hashes, and nothing that was acknowledged
is lost."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentgather.broker.database import LAYOUT_VERSION
from agentgather.broker.hashes import route_hash, slug_hash, token_hash
from agentgather.broker.state import State, open_state
from agentgather.broker.state_directory import StateError, StateInUse
from agentgather.broker.stored_lease import StoredLease, age_at_start
from agentgather.broker.stored_token import LabelTaken

ROOT = Path(__file__).resolve().parents[2]
NOW = 1_800_000_000
OWNER = bytes(range(32))
DATABASE = "state.sqlite3"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "broker"


@pytest.fixture
def state(path: Path) -> Iterator[State]:
    opened = open_state(path)
    yield opened
    opened.close()


def lease(state: State, slug: str = "review", *, created: int = NOW) -> StoredLease:
    return StoredLease(slug_hash(state.key, slug), OWNER, created, created + 3600)


def reopened(path: Path) -> State:
    return open_state(path, create=False)


# --- The directory --------------------------------------------------------------------
def test_directory_and_files_are_private_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        open_state(path, serving=True).close()
    finally:
        os.umask(before)
    for directory in (path, path.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {one.name for one in path.iterdir()} == {"key", "lock", DATABASE}
    for file in path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_umask_that_takes_everything_takes_nothing_from_us(path: Path) -> None:
    before = os.umask(0o777)
    try:
        state = open_state(path)
        state.put_lease(lease(state))
        state.close()
    finally:
        os.umask(before)
    state = reopened(path)
    assert len(state.load_leases()) == 1
    state.close()


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701, 0o777])
def test_a_directory_that_is_open_to_others_is_refused(path: Path, mode: int) -> None:
    path.mkdir(parents=True)
    path.chmod(mode)
    with pytest.raises(StateError, match="chmod 700"):
        open_state(path)
    assert list(path.iterdir()) == []


def test_a_directory_of_another_user_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_state(path).close()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(StateError, match="another user"):
        open_state(path)


def test_a_file_in_the_directory_s_place_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("x")
    with pytest.raises(StateError, match="not a directory"):
        open_state(path)


def test_a_link_to_the_directory_is_followed(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    open_state(link).close()
    assert (path / DATABASE).exists()


@pytest.mark.parametrize("name", ["key", "lock", DATABASE])
def test_a_link_inside_the_directory_is_not_followed(path: Path, tmp_path: Path, name: str) -> None:
    open_state(path, serving=True).close()
    (path / name).rename(tmp_path / "elsewhere")
    (path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match="symbolic link"):
        open_state(path, serving=True)


@pytest.mark.parametrize("name", ["key", "lock", DATABASE])
def test_what_is_no_file_is_refused_at_once(path: Path, name: str) -> None:
    open_state(path, serving=True).close()
    (path / name).unlink()
    os.mkfifo(path / name)
    with pytest.raises(StateError, match="regular file"):
        open_state(path, serving=True)


def test_a_state_that_is_not_to_be_made_has_to_be_there(path: Path) -> None:
    with pytest.raises(StateError, match="--state-dir"):
        open_state(path, create=False)
    assert not path.exists()


# --- The key ----------------------------------------------------------------------------
def test_the_key_is_made_once_and_is_another_for_each_broker(path: Path, tmp_path: Path) -> None:
    first, other = open_state(path), open_state(tmp_path / "other")
    again = reopened(path)
    assert len(first.key) == 32
    assert first.key == again.key == (path / "key").read_bytes()
    assert first.key != other.key
    for one in (first, again, other):
        one.close()


@pytest.mark.parametrize("data", [b"", b"x" * 31, b"x" * 33])
def test_a_damaged_key_is_never_replaced(path: Path, data: bytes) -> None:
    open_state(path).close()
    (path / "key").write_bytes(data)
    with pytest.raises(StateError, match="key is damaged"):
        open_state(path)
    assert (path / "key").read_bytes() == data


def test_a_slug_has_another_hash_at_another_broker_and_in_the_log() -> None:
    one, other = b"1" * 32, b"2" * 32
    hashes = {
        *(slug_hash(one, "review"), slug_hash(other, "review"), slug_hash(one, "review2")),
        *(route_hash(one, "review"), route_hash(other, "review"), route_hash(one, "review2")),
    }
    assert len(hashes) == 6
    assert len(route_hash(one, "review")) == 16
    assert not slug_hash(one, "review").startswith(route_hash(one, "review"))


# --- Leases -----------------------------------------------------------------------------
def test_a_lease_is_there_after_a_restart(path: Path, state: State) -> None:
    one = lease(state)
    state.put_lease(one)
    again = reopened(path)
    assert again.load_leases() == [one]
    again.close()


def test_a_lease_takes_the_place_of_the_one_before(state: State) -> None:
    state.put_lease(lease(state, created=NOW - 60))
    state.put_lease(lease(state))
    assert state.load_leases() == [lease(state)]


def test_dropped_leases_are_gone_and_the_others_are_not(state: State) -> None:
    for slug in ("a", "b", "c"):
        state.put_lease(lease(state, slug))
    state.drop_lease(slug_hash(state.key, "a"), slug_hash(state.key, "c"))
    state.drop_lease(slug_hash(state.key, "never there"))
    state.drop_lease()
    assert state.load_leases() == [lease(state, "b")]


def test_neither_slug_nor_token_is_on_the_disk(path: Path, state: State) -> None:
    state.put_lease(lease(state, "a-slug-to-look-for"))
    _, token = state.add_token("a-label", now_wall_s=NOW)
    assert state.use_token(token, NOW)
    held = b"".join(file.read_bytes() for file in path.iterdir())
    assert b"a-label" in held
    assert b"a-slug-to-look-for" not in held
    assert token.encode() not in held
    assert token.removeprefix("agr_").encode() not in held


def test_of_what_is_dropped_nothing_stays_in_the_file(path: Path, state: State) -> None:
    one = lease(state)
    state.put_lease(one)
    assert one.slug_hash.encode() in (path / DATABASE).read_bytes()
    state.drop_lease(one.slug_hash)
    held = (path / DATABASE).read_bytes()
    assert one.slug_hash.encode() not in held
    assert OWNER not in held


WRITER = """
import sys
from pathlib import Path
from agentgather.broker.state import open_state
from agentgather.broker.stored_lease import StoredLease

state = open_state(Path(sys.argv[1]), serving=True)
for number in range(100_000):
    state.put_lease(StoredLease(f"{number:064x}", bytes(32), 1, 2))
    print(number, flush=True)
"""


def test_a_kill_loses_nothing_that_was_acknowledged(path: Path) -> None:
    for least in (1, 50, 200):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as writer:
            assert writer.stdout is not None
            lines = [next(writer.stdout) for _ in range(least)]
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.readlines()
        acknowledged = max(int(line) for line in lines if line.endswith("\n"))
        state = open_state(path, serving=True)
        kept = {one.slug_hash for one in state.load_leases()}
        assert {f"{number:064x}" for number in range(acknowledged + 1)} <= kept
        state.close()


# --- How old a lease counts at the start ----------------------------------------------------
LEASE = StoredLease("0" * 64, OWNER, NOW, NOW + 3600)


@pytest.mark.parametrize(
    ("now", "age"),
    [
        (NOW, 0.0),
        (NOW + 0.5, 0.5),
        (NOW + 3599, 3599.0),
        (NOW + 3600, None),
        (NOW + 10**9, None),
        (NOW - 1, 0.0),
        (0, 0.0),
        (2**31, None),
    ],
)
def test_a_lease_ends_with_its_lifetime_unless_the_clock_was_set_back(
    now: float, age: float | None
) -> None:
    assert age_at_start(LEASE, now) == age


# --- Registration tokens ------------------------------------------------------------------
def test_a_token_lets_in_until_it_is_revoked(path: Path, state: State) -> None:
    number, token = state.add_token("ada", now_wall_s=NOW)
    assert token.startswith("agr_")
    assert len(token) == 4 + 43
    assert state.use_token(token, NOW)
    assert not state.use_token(token[:-1] + "!", NOW)
    assert not state.use_token("", NOW)
    assert not state.use_token("agr_" + "A" * 43, NOW)
    again = reopened(path)
    assert again.use_token(token, NOW)
    assert again.revoke_token(str(number))
    again.close()
    assert not state.use_token(token, NOW)
    assert state.list_tokens() == []
    assert not state.revoke_token(str(number))


def test_a_token_ends_when_it_was_to(state: State) -> None:
    _, token = state.add_token(None, now_wall_s=NOW, expires_wall_s=NOW + 60)
    assert state.use_token(token, NOW + 59)
    assert not state.use_token(token, NOW + 60)


def test_of_a_token_the_day_of_its_last_use_is_known(state: State) -> None:
    number, token = state.add_token("ada", now_wall_s=NOW)
    assert state.list_tokens() == [(number, "ada", NOW, None, None)]
    assert state.use_token(token, NOW + 86_400)
    assert state.list_tokens()[0].last_used_day == (NOW + 86_400) // 86_400


def test_a_good_token_lets_in_though_the_disk_takes_no_note(
    state: State, caplog: pytest.LogCaptureFixture
) -> None:
    _, token = state.add_token("ada", now_wall_s=NOW)
    state._connection.execute("PRAGMA query_only = ON")
    for later in range(3):
        assert state.use_token(token, NOW + later)
    assert not state.use_token("agr_" + "A" * 43, NOW)
    with pytest.raises(StateError):
        state.put_lease(lease(state))
    assert state.list_tokens()[0].last_used_day is None
    # One line tells the operator, however many hosts come; and again at the next fault.
    state._connection.execute("PRAGMA query_only = OFF")
    assert state.use_token(token, NOW)
    assert state.list_tokens()[0].last_used_day == NOW // 86_400
    state._connection.execute("PRAGMA query_only = ON")
    assert state.use_token(token, NOW + 86_400)
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert len(said) == 2
    for level, text in said:
        assert level == "WARNING"
        assert "readonly" in text
        assert token not in text


def test_a_label_names_one_token(state: State) -> None:
    _, token = state.add_token("ada", now_wall_s=NOW)
    state.add_token(None, now_wall_s=NOW)
    state.add_token(None, now_wall_s=NOW)
    with pytest.raises(LabelTaken):
        state.add_token("ada", now_wall_s=NOW)
    assert state.revoke_token("ada")
    assert not state.use_token(token, NOW)
    assert [one.id for one in state.list_tokens()] == [2, 3]


def test_an_id_is_never_given_again(state: State) -> None:
    first, _ = state.add_token(None, now_wall_s=NOW)
    state.revoke_token(str(first))
    second, _ = state.add_token(None, now_wall_s=NOW)
    assert second != first


def test_the_hash_of_a_token_is_no_plain_one() -> None:
    assert token_hash("a") != token_hash("b")
    assert len(token_hash("a")) == 32


# --- Several at once --------------------------------------------------------------------------
def test_one_broker_runs_on_a_directory_and_commands_beside_it(path: Path) -> None:
    broker = open_state(path, serving=True)
    with pytest.raises(StateInUse, match="--state-dir"):
        open_state(path, serving=True)
    command = reopened(path)
    _, token = command.add_token(None, now_wall_s=NOW)
    command.close()
    assert broker.use_token(token, NOW)
    broker.close()
    open_state(path, serving=True).close()


ADDER = """
import sys
from pathlib import Path
from agentgather.broker.state import open_state

for number in range(20):
    state = open_state(Path(sys.argv[1]))
    state.add_token(f"{sys.argv[2]}-{number}", now_wall_s=1)
    state.close()
"""


def test_processes_that_are_first_at_once_share_one_state(path: Path) -> None:
    adders = [
        subprocess.Popen([sys.executable, "-c", ADDER, str(path), name], cwd=ROOT)
        for name in ("one", "other", "third")
    ]
    assert [adder.wait() for adder in adders] == [0, 0, 0]
    state = reopened(path)
    assert len(state.list_tokens()) == 60
    assert [file.name for file in path.iterdir() if file.name.startswith(".key")] == []
    state.close()


def test_threads_take_turns(state: State) -> None:
    failures: list[BaseException] = []

    def put(name: str) -> None:
        try:
            for number in range(20):
                state.put_lease(lease(state, f"{name}-{number}"))
                state.load_leases()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=put, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(state.load_leases()) == 80


# --- Damage ---------------------------------------------------------------------------------
@pytest.mark.parametrize("data", [b"not a database at all, " * 100, b"\0" * 8192])
def test_what_is_no_database_is_refused_and_left_alone(path: Path, data: bytes) -> None:
    open_state(path).close()
    (path / DATABASE).write_bytes(data)
    with pytest.raises(StateError, match="damaged"):
        open_state(path)
    assert (path / DATABASE).read_bytes() == data


def test_a_database_that_is_cut_short_is_refused(path: Path, state: State) -> None:
    for number in range(300):
        state.put_lease(lease(state, f"slug-{number}"))
    state.close()
    data = (path / DATABASE).read_bytes()
    (path / DATABASE).write_bytes(data[: len(data) // 2])
    with pytest.raises(StateError, match="damaged"):
        open_state(path)


def test_another_program_s_database_is_refused(path: Path) -> None:
    path.mkdir(parents=True, mode=0o700)
    with sqlite3.connect(path / DATABASE) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StateError, match="another program's"):
        open_state(path)


def test_a_newer_layout_is_refused(path: Path) -> None:
    open_state(path).close()
    with sqlite3.connect(path / DATABASE) as connection:
        connection.execute(f"PRAGMA user_version = {LAYOUT_VERSION + 1}")
    connection.close()
    with pytest.raises(StateError, match="newer"):
        open_state(path)


def test_a_database_that_breaks_while_it_is_open_is_an_error_of_the_state(
    path: Path, state: State
) -> None:
    (path / DATABASE).write_bytes(b"x" * 8192)
    with pytest.raises(StateError):
        state.put_lease(lease(state))


def test_a_full_disk_loses_what_was_not_acknowledged_and_nothing_else(state: State) -> None:
    (pages,) = state._connection.execute("PRAGMA page_count").fetchone()
    state._connection.execute(f"PRAGMA max_page_count = {pages}")
    kept: list[StoredLease] = []

    def fill() -> None:
        for number in range(1_000):
            one = lease(state, f"slug-{number}")
            state.put_lease(one)
            kept.append(one)

    with pytest.raises(StateError, match="full"):
        fill()
    assert kept
    assert sorted(state.load_leases()) == sorted(kept)
    state._connection.execute("PRAGMA max_page_count = 1000000")
    state.put_lease(lease(state, "one more"))
    assert len(state.load_leases()) == len(kept) + 1


def test_a_commit_that_fails_does_not_keep_the_next_from_beginning(
    path: Path, state: State
) -> None:
    with sqlite3.connect(path / DATABASE, isolation_level=None) as reader:
        state._connection.execute("PRAGMA busy_timeout = 1")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM leases").fetchone()
        with pytest.raises(StateError, match="in use by another process"):
            state.put_lease(lease(state))
        reader.execute("COMMIT")
    reader.close()
    state.put_lease(lease(state))
    assert state.load_leases() == [lease(state)]


def test_an_open_that_fails_leaves_no_lock(path: Path) -> None:
    open_state(path).close()
    good = (path / DATABASE).read_bytes()
    (path / DATABASE).write_bytes(b"x" * 8192)
    with pytest.raises(StateError):
        open_state(path, serving=True)
    (path / DATABASE).write_bytes(good)
    open_state(path, serving=True).close()
