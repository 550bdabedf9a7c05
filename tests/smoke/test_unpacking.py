"""The single file on a real machine: what it leaves, and where it can't unpack.

How it unpacks, `tests/packaging/test_single_file.py` tries with a small program behind its head.
"""

import re
import shutil
import signal
from pathlib import Path

import pytest

from tests.smoke.conftest import OpenMachine, require_mounts
from tests.smoke.machine import IDLE_STOP_SECONDS, Machine
from tests.smoke.mounts import TRIED_LAST, restricted

SET_IT = (
    "set AGENTGATHER_UNPACK_DIR to a folder that you can write to and that programs may run from"
)


@pytest.fixture
def machine(single_file: Path, open_machine: OpenMachine) -> Machine:
    return open_machine(single_file)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_it_leaves_its_program_unpacked_and_nothing_else(
    number: signal.Signals, machine: Machine
) -> None:
    machine.run("--version")
    before = machine.unpacked()
    assert len(before) == 1
    up = machine.start("up", "up", "review", "--port", "0")
    up.waits_to_say("is open at")
    status = up.stop(number, within=IDLE_STOP_SECONDS)
    assert status == (-number if number == signal.SIGKILL else 0)
    assert machine.unpacked() == before
    assert machine.left_behind() == []


def test_two_that_start_first_at_the_same_moment_run_side_by_side(
    single_file: Path, open_machine: OpenMachine, tmp_path: Path
) -> None:
    machines = [open_machine(single_file, cache=tmp_path / "shared") for _ in range(2)]
    both = [one.start("up", "up", "review", "--port", "0") for one in machines]
    for up in both:
        up.waits_to_say("is open at")
    assert [len(one.unpacked()) for one in machines] == [1, 1]
    for machine in machines:
        machine.run("send", "host", "here")
        assert machine.run("messages").endswith(" host: @host here\n")
    # The end of one takes nothing away from the other.
    both[0].kill()
    assert machines[1].run("doctor", "--verify").startswith("ok ")
    assert both[1].stop(within=IDLE_STOP_SECONDS) == 0


def test_a_newer_file_in_its_place_does_not_disturb_what_runs(
    single_file: Path, machine: Machine
) -> None:
    file = machine.folder / "agentgather"
    for version in (b"0.0.1", b"0.0.2", b"0.0.3"):
        new = file.with_name("new")
        new.write_bytes(named(single_file, version))
        new.chmod(0o755)
        new.replace(file)
        machine.program = file
        if version == b"0.0.1":
            up = machine.start("up", "up", "review", "--port", "0")
            up.waits_to_say("is open at")
        if version == b"0.0.2":
            machine.run("send", "host", "**from a newer one**")
            assert versions(machine) == ["0.0.1", "0.0.2"]
            # What it loads now for the first time comes from its own folder still.
            token, base = invited(machine)
            answer = machine.shell(
                'curl -sS "$1/messages?render=html" -H "Authorization: Bearer $2"', base, token
            )
            assert "<strong>from a newer one</strong>" in answer.stdout
            assert "<!doctype html>" in machine.shell('curl -sS "$1/"', base).stdout.lower()
            assert up.stop(within=IDLE_STOP_SECONDS) == 0
    machine.run("--version")
    assert versions(machine) == ["0.0.3"]


def named(single_file: Path, version: bytes) -> bytes:
    """Give the file as another version, which unpacks into another folder."""
    content = single_file.read_bytes()
    (name,) = set(re.findall(rb"\d+\.\d+\.\d+-[0-9a-f]{16}", content))
    return content.replace(name, version + name[name.index(b"-") :])


def versions(machine: Machine) -> list[str]:
    return [path.name.partition("-")[0] for path in machine.unpacked()]


def invited(machine: Machine) -> tuple[str, str]:
    """Give the token of somebody new, and where the room is."""
    invite = machine.json("room", "invite", "ada", "--kind", "human")
    return invite["token"], invite["browser_url"].partition("/#")[0]


# --- Where it can't ---------------------------------------------------------------------------
def without_unpack_dir(
    single_file: Path, open_machine: OpenMachine, tmp_path: Path, mounts: str
) -> Machine:
    """Open a machine whose user has the home ``home``, and nowhere to unpack that is named."""
    require_mounts()
    # Within the machine's own folder: what is around it may be one of those that are restricted.
    file = tmp_path / "machine0" / "agentgather"
    file.parent.mkdir()
    shutil.copy(single_file, file)
    home = file.with_name("home")
    home.mkdir()
    machine = open_machine(file, mounts=mounts, further={"HOME": str(home)})
    del machine.environment["AGENTGATHER_UNPACK_DIR"]
    return machine


@pytest.mark.parametrize(
    ("option", "why"),
    [("ro", "Read-only file system"), ("noexec", "no program may run from it (noexec)")],
)
def test_a_machine_where_nothing_may_be_unpacked_is_told_what_to_set(
    option: str, why: str, single_file: Path, open_machine: OpenMachine, tmp_path: Path
) -> None:
    # Always read-only: where programs may not run, an empty folder would be left on this machine.
    nowhere = f"{restricted('ro', *TRIED_LAST)}; {restricted(option, '$FOLDER/home')}"
    machine = without_unpack_dir(single_file, open_machine, tmp_path, nowhere)
    done = machine.attempt("--version")
    base = machine.folder / "home" / ".cache" / "agentgather"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"agentgather: nowhere to unpack ({base}: {why}); {SET_IT}\n"

    machine.environment["AGENTGATHER_UNPACK_DIR"] = str(machine.cache)
    assert machine.run("--version").startswith("agentgather ")
    assert len(machine.unpacked()) == 1


def test_a_disk_that_is_full_is_told_and_has_nothing_half_unpacked(
    single_file: Path, open_machine: OpenMachine
) -> None:
    require_mounts()
    machine = open_machine(single_file, mounts="mount -t tmpfs -o size=16m none $FOLDER/cache")
    done = machine.shell('"$PROGRAM" --version; echo $?; ls -AR "$AGENTGATHER_UNPACK_DIR"/*')
    base = f"{machine.cache}/agentgather-0"
    assert done.stdout == f"1\n{base}:\n"
    assert done.stderr == (
        f"agentgather: nowhere to unpack ({base}: No space left on device); {SET_IT}\n"
    )


def test_a_home_that_is_full_is_passed_over(
    single_file: Path, open_machine: OpenMachine, tmp_path: Path
) -> None:
    small = "mount -t tmpfs -o size=16m none $FOLDER/home; mount -t tmpfs none /var/tmp"
    machine = without_unpack_dir(single_file, open_machine, tmp_path, small)
    done = machine.shell('"$PROGRAM" --version; ls -A "$HOME"/.cache/agentgather /var/tmp/*')
    assert re.fullmatch(
        r"agentgather \S+\n/\S+/home/.cache/agentgather:\n\n/var/tmp/agentgather-\d+:\n\S+\n",
        done.stdout,
    )
    assert done.stderr == ""
