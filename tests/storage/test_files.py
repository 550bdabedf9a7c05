import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentgather.storage.files import (
    UnsafeFile,
    create_file,
    ensure_directory,
    read_file,
    remove_temporaries,
    replace_file,
)
from tests.doubles.lossy_disk import LossyDisk


@pytest.fixture(params=[0o000, 0o022, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def put(path: Path, what: str) -> Path:
    """Put something else than a file at ``path``; a link leads to the file that is returned."""
    target = path.with_name("target")
    target.write_bytes(b"not yours")
    if what == "link":
        path.symlink_to(target)
    elif what == "dangling link":
        path.symlink_to(path.with_name("nowhere"))
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "device":
        if os.geteuid() != 0:
            pytest.skip("only root makes devices")
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero
    else:
        path.mkdir()
    return target


STRANGE = ["link", "dangling link", "fifo", "device", "directory"]


# --- Directories ----------------------------------------------------------------------
@pytest.mark.hostile("F05")
@pytest.mark.usefixtures("umask")
def test_directories_are_private_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "home with space\nand line end"
    ensure_directory(path)
    ensure_directory(path)
    assert mode(path) == mode(path.parent) == 0o700


@pytest.mark.hostile("F05")
def test_a_directory_that_others_may_read_is_made_private(tmp_path: Path) -> None:
    path = tmp_path / "home"
    path.mkdir(mode=0o755)
    ensure_directory(path)
    assert mode(path) == 0o700


@pytest.mark.hostile("F05")
@pytest.mark.parametrize("lax", [0o777, 0o770, 0o702, 0o1777])
def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path, lax: int) -> None:
    path = tmp_path / "home"
    path.mkdir()
    path.chmod(lax)
    with pytest.raises(UnsafeFile):
        ensure_directory(path)
    assert mode(path) == lax


@pytest.mark.hostile("F05")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives directories away")
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    os.chown(path, 12345, 12345)
    with pytest.raises(UnsafeFile):
        ensure_directory(path)


@pytest.mark.parametrize("what", [*STRANGE[:4], "link to a directory"])
def test_what_is_no_directory_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "home"
    if what == "link to a directory":
        (tmp_path / "real").mkdir()
        path.symlink_to(tmp_path / "real")
    else:
        put(path, what)
    with pytest.raises(UnsafeFile):
        ensure_directory(path)


# --- Reading --------------------------------------------------------------------------
def test_a_file_is_read_up_to_its_bound_and_not_beyond(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_file(path, max_bytes=5) == b"12345"
    with pytest.raises(UnsafeFile):
        read_file(path, max_bytes=4)


def test_a_file_that_is_not_there_is_no_unsafe_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "file", max_bytes=5)


@pytest.mark.hostile("F03")
@pytest.mark.parametrize("what", STRANGE)
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, what: str) -> None:
    put(tmp_path / "file", what)
    with pytest.raises(UnsafeFile):
        read_file(tmp_path / "file", max_bytes=100)


@pytest.mark.hostile("F03")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    path = tmp_path / "file"
    path.write_bytes(b"theirs")
    os.chown(path, 12345, 12345)
    with pytest.raises(UnsafeFile):
        read_file(path, max_bytes=100)


# --- Replacing ------------------------------------------------------------------------
@pytest.mark.hostile("F05")
@pytest.mark.usefixtures("umask")
def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    for name in ("one", "two"):
        replace_file(tmp_path / "one", name.encode())
    create_file(tmp_path / "two", b"x", replace=False)
    assert mode(tmp_path / "one") == mode(tmp_path / "two") == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


@pytest.mark.hostile("F03", "F04")
@pytest.mark.parametrize("what", STRANGE[:4])
def test_replacing_follows_no_link_and_writes_to_no_device(tmp_path: Path, what: str) -> None:
    target = put(tmp_path / "file", what)
    replace_file(tmp_path / "file", b"new")
    assert target.read_bytes() == b"not yours"
    assert not (tmp_path / "nowhere").exists()
    assert stat.S_ISREG((tmp_path / "file").lstat().st_mode)
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_directory_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(UnsafeFile):
        replace_file(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.hostile("S16")
@pytest.mark.parametrize("call", ["write-half", "write", "sync", "rename"])
def test_a_replacement_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, call: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    disk = LossyDisk(tmp_path)
    disk.fail(call, errno.ENOSPC)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new", disk=disk)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.hostile("S17")
@pytest.mark.parametrize("calls", [("sync",), ("sync_directory",), ("sync", "sync_directory")])
def test_a_file_system_without_sync_still_replaces(tmp_path: Path, calls: tuple[str, ...]) -> None:
    path = tmp_path / "file"
    disk = LossyDisk(tmp_path)
    for call in calls:
        disk.fail(call, errno.EINVAL)
    replace_file(path, b"new", disk=disk)
    assert path.read_bytes() == b"new"


@pytest.mark.hostile("S16")
def test_a_replacement_survives_a_power_cut_as_soon_as_it_returns(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    disk = LossyDisk(tmp_path)
    replace_file(path, b"new", disk=disk)
    disk.power_cut()
    assert path.read_bytes() == b"new"


# --- Creating -------------------------------------------------------------------------
@pytest.mark.hostile("F04")
@pytest.mark.parametrize("what", STRANGE)
@pytest.mark.parametrize("replace", [True, False])
def test_an_output_never_goes_through_what_is_no_file(
    tmp_path: Path, what: str, replace: bool
) -> None:
    path = tmp_path / "file"
    target = put(path, what)
    before = path.lstat()
    with pytest.raises(UnsafeFile if replace else FileExistsError):
        create_file(path, b"x", replace=replace)
    assert target.read_bytes() == b"not yours"
    assert path.lstat().st_ino == before.st_ino


@pytest.mark.hostile("F04")
def test_an_output_replaces_a_file_only_when_it_may(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o644)
    with pytest.raises(FileExistsError):
        create_file(path, b"new", replace=False)
    assert path.read_bytes() == b"old"
    create_file(path, b"new", replace=True)
    assert path.read_bytes() == b"new"
    assert mode(path) == 0o600


@pytest.mark.hostile("F04")
def test_a_full_device_is_no_output() -> None:
    with pytest.raises(UnsafeFile):
        create_file(Path("/dev/full"), b"x", replace=True)
    with pytest.raises(FileExistsError):
        create_file(Path("/dev/full"), b"x", replace=False)


# --- Sweeping -------------------------------------------------------------------------
@pytest.mark.hostile("S16")
def test_left_over_temporary_files_go_and_nothing_else_does(tmp_path: Path) -> None:
    names = ["room.json", ".room.json.tmp-0a1b", "room.json.tmp-77-0", "messages.jsonl.torn-x"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".x.tmp-directory").mkdir()
    remove_temporaries(tmp_path, min_age_seconds=3600)
    assert len(list(tmp_path.iterdir())) == 5
    remove_temporaries(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".x.tmp-directory", "messages.jsonl.torn-x", "room.json"]
    remove_temporaries(tmp_path / "nowhere")
