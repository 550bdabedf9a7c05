"""The head of the single file, real and compiled, with a small program behind it."""

import os
import re
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from binary.single_file import compile_head, folder_name, join, pack

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "packaging" / "binary" / "build-tools.sh"

pytestmark = pytest.mark.skipif(
    subprocess.run([TOOLS, "--have"], check=False).returncode != 0,
    reason="what `make binary` needs is not installed",
)
PROGRAM = """#!/bin/sh
[ "$1" != wait ] || { echo ready; read line; }
echo "$$ $(umask) $*"
cat "${0%/*}/inner/data"
"""
EPOCH = 315_532_800

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def make_file(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Give a way to make the single file of a program, which says what it is told to."""
    made: dict[str, Path] = {}

    def make(version: str, program: str = PROGRAM) -> Path:
        key = version + program
        if key not in made:
            folder = tmp_path_factory.mktemp("build")
            source = folder / "source"
            (source / "inner").mkdir(parents=True)
            (source / "inner" / "data").write_text(f"this is {version}\n")
            (source / "agentgather").write_text(program)
            (source / "agentgather").chmod(0o755)
            payload = pack(source, f"agentgather-{version}", EPOCH)
            compile_head(folder / "head", folder_name(version, payload), "9.99")
            made[key] = folder / "agentgather"
            made[key].write_bytes(join((folder / "head").read_bytes(), payload))
            made[key].chmod(0o755)
        return made[key]

    return make


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Where the program of a user with the home ``tmp_path`` is unpacked."""
    return tmp_path / ".cache" / "agentgather"


def run(
    file: Path, *arguments: str, home: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [file, *arguments],
        env=environment | ({"HOME": str(home)} if home else {}),
        capture_output=True,
        text=True,
        timeout=30,
    )


def kept(cache: Path) -> list[str]:
    """Give the versions whose folders are there, and whatever else is by its whole name."""
    return sorted(re.sub(r"^(\d.*)-[0-9a-f]{16}$", r"\1", path.name) for path in cache.iterdir())


# --- What it runs -------------------------------------------------------------------------
def test_it_becomes_the_program_in_the_same_process(make_file: Make, cache: Path) -> None:
    with subprocess.Popen(
        [make_file("1.0"), "a b", "c"],
        env={"HOME": str(cache.parents[1])},
        stdout=subprocess.PIPE,
        text=True,
        umask=0o027,
    ) as process:
        output, _ = process.communicate(timeout=30)
    assert output == f"{process.pid} 0027 a b c\nthis is 1.0\n"
    assert process.returncode == 0


def test_it_unpacks_once(make_file: Make, cache: Path, tmp_path: Path) -> None:
    run(make_file("1.0"), home=tmp_path)
    (before,) = cache.iterdir()
    inode = before.stat().st_ino
    assert run(make_file("1.0"), home=tmp_path).returncode == 0
    assert [path.stat().st_ino for path in cache.iterdir()] == [inode]


def test_only_its_user_can_look_into_what_it_unpacked(
    make_file: Make, cache: Path, tmp_path: Path
) -> None:
    run(make_file("1.0"), home=tmp_path)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [cache, *cache.rglob("*")]}
    assert modes.pop("data") == 0o600
    assert set(modes.values()) == {0o700}


def test_it_works_from_anywhere_and_under_any_name(make_file: Make, tmp_path: Path) -> None:
    file = make_file("1.0")
    (tmp_path / "link").symlink_to(file)
    for words in (["./link"], ["link"]):
        said = subprocess.run(
            words,
            cwd=tmp_path,
            env={"HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.defpath}", "LC_ALL": "C"},
            capture_output=True,
            text=True,
        )
        assert said.stdout.endswith("this is 1.0\n")
    renamed = subprocess.run(
        ["nothing"], executable=file, env={"HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert renamed.stdout.endswith("this is 1.0\n")


def test_a_closed_stream_stays_closed(make_file: Make, cache: Path, tmp_path: Path) -> None:
    program = "#!/bin/sh\n[ -e /proc/$$/fd/0 ] && echo open || echo closed\n"
    file = make_file("1.1", program)
    for _ in ("unpacked now", "unpacked before"):
        said = subprocess.run(
            ["/bin/sh", "-c", f'exec "{file}" <&-'],
            env={"HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert said.stdout == "closed\n"


def test_a_running_program_does_not_mind_that_its_file_is_replaced(
    make_file: Make, cache: Path, tmp_path: Path
) -> None:
    file = tmp_path / "agentgather"
    shutil.copy(make_file("1.0"), file)
    with waiting(file, tmp_path) as process:
        shutil.copy(make_file("2.0"), tmp_path / "new")
        (tmp_path / "new").replace(file)
        assert run(file, home=tmp_path).stdout.endswith("this is 2.0\n")
        assert kept(cache) == ["1.0", "2.0"]
        output, _ = process.communicate("\n", timeout=30)
    assert output.endswith("this is 1.0\n")


def waiting(file: Path, home: Path) -> subprocess.Popen[str]:
    """Start a program that waits for a line, and give it once it does."""
    process = subprocess.Popen(
        [file, "wait"],
        env={"HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


# --- What is in the cache -----------------------------------------------------------------
def test_what_older_versions_left_is_removed_when_nothing_runs_from_it(
    make_file: Make, cache: Path, tmp_path: Path
) -> None:
    run(make_file("1.0"), home=tmp_path)
    with waiting(make_file("2.0"), tmp_path) as process:
        run(make_file("3.0"), home=tmp_path)
        assert kept(cache) == ["2.0", "3.0"]
        process.send_signal(signal.SIGKILL)
    (cache / "notes").mkdir()
    run(make_file("4.0"), home=tmp_path)
    assert kept(cache) == ["4.0", "notes"]


@pytest.mark.hostile("D07")
def test_what_is_half_unpacked_is_never_used_and_is_removed(
    make_file: Make, cache: Path, tmp_path: Path
) -> None:
    (cache / ".new-abcdef" / "inner").mkdir(parents=True)
    (cache / ".old-1.0-0123456789abcdef").mkdir()
    assert run(make_file("1.0"), home=tmp_path).returncode == 0
    assert kept(cache) == ["1.0"]


@pytest.mark.hostile("D07")
def test_many_first_starts_side_by_side_are_safe(
    make_file: Make, cache: Path, tmp_path: Path
) -> None:
    many = [
        subprocess.Popen(
            [make_file("1.0")], env={"HOME": str(tmp_path)}, stdout=subprocess.PIPE, text=True
        )
        for _ in range(12)
    ]
    for process in many:
        output, _ = process.communicate(timeout=30)
        assert output.endswith("this is 1.0\n")
    assert kept(cache) == ["1.0"]


# --- Where it unpacks ---------------------------------------------------------------------
@pytest.mark.hostile("D07")
def test_a_folder_that_others_may_write_to_is_not_used(
    make_file: Make, cache: Path, tmp_path: Path
) -> None:
    run(make_file("1.0"), AGENTGATHER_UNPACK_DIR=str(tmp_path))
    own = tmp_path / f"agentgather-{os.geteuid()}"
    own.chmod(0o770)
    said = run(make_file("1.0"), AGENTGATHER_UNPACK_DIR=str(tmp_path))
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == (
        f"agentgather: nowhere to unpack ({own}: others may write to it); set "
        "AGENTGATHER_UNPACK_DIR to a folder that you can write to and that programs may run from\n"
    )


@pytest.mark.hostile("D07")
def test_a_link_in_the_place_of_the_folder_is_not_followed(make_file: Make, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / f"agentgather-{os.geteuid()}").symlink_to("elsewhere")
    assert run(make_file("1.0"), AGENTGATHER_UNPACK_DIR=str(tmp_path)).returncode == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.hostile("D07")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("named", ["", "deep/cache"])
def test_another_user_s_cache_is_not_used(make_file: Make, tmp_path: Path, named: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    os.chown(other, 65534, 65534)
    run(make_file("1.0"), home=tmp_path, XDG_CACHE_HOME=str(other / named))
    assert list(other.iterdir()) == []
    assert kept(tmp_path / ".cache" / "agentgather") == ["1.0"]


def test_a_folder_must_be_named_from_the_root(make_file: Make) -> None:
    said = run(make_file("1.0"), AGENTGATHER_UNPACK_DIR="here")
    assert said.returncode == 1
    assert said.stderr == (
        "agentgather: AGENTGATHER_UNPACK_DIR must begin with a slash, not: here\n"
    )


def test_a_place_where_no_folder_can_be_made_says_why(make_file: Make) -> None:
    said = run(make_file("1.0"), AGENTGATHER_UNPACK_DIR="/sys/none")
    assert said.returncode == 1
    assert re.search(
        r"\(/sys/none/agentgather-\d+: (Operation not permitted|Permission denied|Read-only file "
        r"system)\); set AGENTGATHER_UNPACK_DIR ",
        said.stderr,
    )


def test_the_cache_of_the_desktop_comes_before_the_home(make_file: Make, tmp_path: Path) -> None:
    run(make_file("1.0"), home=tmp_path, XDG_CACHE_HOME=str(tmp_path / "deep" / "cache"))
    assert kept(tmp_path / "deep" / "cache" / "agentgather") == ["1.0"]
    assert not (tmp_path / ".cache").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("option", ["noexec", "ro"])
def test_a_home_from_which_nothing_runs_is_passed_over(
    option: str, make_file: Make, tmp_path: Path
) -> None:
    script = f"""
        mount -t tmpfs -o {option} none {tmp_path}
        mount -t tmpfs none /var/tmp
        "$1" && ls /var/tmp/agentgather-0
    """
    said = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script, "sh", make_file("1.0")],
        env={"HOME": str(tmp_path), "PATH": os.defpath},
        capture_output=True,
        text=True,
    )
    assert "this is 1.0\n1.0-" in said.stdout


# --- What it can't run --------------------------------------------------------------------
@pytest.mark.hostile("D07")
def test_a_download_that_was_cut_or_changed_says_so_and_leaves_nothing(
    make_file: Make, cache: Path, tmp_path: Path
) -> None:
    whole = make_file("1.0").read_bytes()
    changed = bytearray(whole)
    changed[-60] ^= 1
    for content in (whole[:-1000], whole[:-1], bytes(changed)):
        damaged = tmp_path / "damaged"
        damaged.write_bytes(content)
        damaged.chmod(0o755)
        said = run(damaged, home=tmp_path)
        assert said.returncode == 1
        assert said.stderr == "agentgather: this file is damaged; download it again\n"
        assert not cache.exists() or kept(cache) == []


def test_a_system_without_glibc_is_told_what_it_lacks(make_file: Make, tmp_path: Path) -> None:
    file = make_file("1.2", "#!/no/such/loader\n")
    said = run(file, home=tmp_path)
    assert said.returncode == 1
    assert said.stderr == (
        "agentgather: this program needs Linux with glibc 9.99 or newer, and finds none here\n"
    )
