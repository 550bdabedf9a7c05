"""A host's room as a unit of the host's own systemd: it serves, and prints no token."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.cli.outside.terminal import AGENTGATHER, ROOT, Terminal, ended, next_line

UNIT = ROOT / "packaging" / "systemd" / "agentgather-room@.service"
SYSTEMD = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze is not installed")
MOST_EXPOSED = 6.5
"""On systemd's scale of 0 to 10. What would make it less is not for a user's units."""
PR_SET_MDWE = 65
"""Since Linux 6.3, from <linux/prctl.h>: what MemoryDenyWriteExecute= asks for."""
WITHOUT_WRITABLE_CODE = (
    "import ctypes, os, sys\n"
    f"ctypes.CDLL(None).prctl({PR_SET_MDWE}, 1, 0, 0, 0)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])\n"
)


def settings() -> dict[str, list[str]]:
    """Give what the unit says, by the name of the setting."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def command(room: str, options: str = "") -> list[str]:
    """Give the arguments as systemd makes them: ``${A}`` is a word, ``$A`` is several."""
    [line] = settings()["ExecStart"]
    program, *words = line.replace("%i", room).replace("%h", "/home/ada").split()
    assert program == "/home/ada/.local/bin/agentgather"
    given = [word.replace("${PORT}", "0") for word in words if word != "$ROOM_OPTIONS"]
    assert "$ROOM_OPTIONS" in words
    return [*given, *shlex.split(options)]


def test_it_serves_the_room_of_its_name_and_prints_no_token(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "home")
    terminal.run("room", "start", "my-room")
    terminal.run("room", "start", "another")
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_WRITABLE_CODE, *AGENTGATHER, *command("my-room")],
        env=terminal.environment,
        cwd=tmp_path,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    terminal.running.append(process)
    line = next_line(process)
    assert line.startswith("Serving my-room at http://127.0.0.1:")
    with urllib.request.urlopen(f"{line.split()[-1]}/healthz", timeout=20) as answer:
        assert answer.read() == b'{"ok":true}\n'
    assert terminal.seat()["roomId"] == "another"
    process.terminate()
    done = ended(process)
    assert done.status == 0
    assert not re.search("ag[phr]_|tgl_", line + done.out)
    terminal.close()


def test_options_of_one_room_are_words_of_their_own(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "home")
    terminal.run("room", "start", "demo")
    assert "No such option" in terminal.fails(2, *command("demo", "--max-messages 10 --nonsense"))


def test_a_mistake_is_not_tried_again_and_nothing_is_tried_for_ever() -> None:
    unit = settings()
    assert unit["Restart"] == ["on-failure"]
    # 69 and 1 pass by themselves: a command that has the lock for a moment, a port in use.
    assert unit["RestartPreventExitStatus"] == ["2"]
    pause, attempts = int(unit["RestartSec"][0]), int(unit["StartLimitBurst"][0])
    assert unit["StartLimitIntervalSec"] == ["2min"]
    assert attempts * (pause + 10) < 120


def test_it_asks_for_nothing_that_only_an_administrator_has() -> None:
    unit = settings()
    needs_more = (
        r"(User|Group|Protect|Private|IPAddress|ReadOnly|ReadWrite|Inaccessible|Capab|Dynamic)"
    )
    assert [name for name in unit if re.match(needs_more, name)] == []
    assert unit["WantedBy"] == ["default.target"]
    assert "EnvironmentFile" in unit
    assert unit["EnvironmentFile"][0].startswith("-")


@needs_systemd
def test_systemd_finds_no_fault_with_it(tmp_path: Path) -> None:
    assert SYSTEMD is not None
    units = tmp_path / ".config" / "systemd" / "user"
    program = tmp_path / ".local" / "bin" / "agentgather"
    for folder in (units, program.parent, tmp_path / "run"):
        folder.mkdir(parents=True)
    shutil.copy("/bin/true", program)
    shutil.copy(UNIT, units)
    done = subprocess.run(
        [SYSTEMD, "--user", "--man=no", "verify", "agentgather-room@review.service"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    mine = [line for line in done.stderr.splitlines() if "agentgather" in line]
    assert (mine, done.returncode) == ([], 0), done.stderr


@needs_systemd
def test_it_gives_the_room_little_of_the_account(tmp_path: Path) -> None:
    assert SYSTEMD is not None
    done = subprocess.run(
        [SYSTEMD, "security", "--offline=true", "--no-pager", UNIT],
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd does not look at a file: {done.stderr.strip()}")
    assert float(found[1]) <= MOST_EXPOSED
