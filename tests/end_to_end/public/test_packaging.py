"""The files that an operator installs are good for the programs that read them."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.public.broker import INSTALLED, UNIT, Broker, unit_command
from tests.end_to_end.public.caddy import CADDYFILE, Caddy, find_caddy
from tests.end_to_end.public.curl import Curl
from tests.end_to_end.public.ports import ReservedPort
from tests.end_to_end.public.program import ROOT

SYSTEMD = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze is not installed")
MOST_EXPOSED = 1.0
"""On systemd's scale of 0 to 10: what it calls safe."""
PR_SET_MDWE = 65
"""Since Linux 6.3, from <linux/prctl.h>: what MemoryDenyWriteExecute= asks for."""


def systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert SYSTEMD is not None
    return subprocess.run([SYSTEMD, *arguments], capture_output=True, text=True, timeout=60)


def test_the_unit_starts_a_broker_behind_a_proxy_of_its_machine() -> None:
    command = unit_command({"PUBLIC_URL": "https://rooms.example", "BROKER_OPTIONS": ""})
    assert command[3:5] == ["broker", "serve"]
    at = command.index("--public-url")
    assert command[at + 1] == "https://rooms.example"
    assert command[command.index("--trusted-proxy") + 1] == "loopback"
    assert "--host" not in command
    unit = UNIT.read_text()
    assert "StateDirectoryMode=0700" in unit
    # `systemctl start` returns when it listens, and one that hangs does not stay.
    assert "Type=notify" in unit
    assert "WatchdogSec=" in unit
    # Over MemoryHigh= a program without swap is slowed until nobody is answered, and lives on.
    assert "\nMemoryHigh=" not in unit
    assert "ExecReload=" not in re.sub(r"^#.*$", "", unit, flags=re.MULTILINE)


@needs_systemd
def test_systemd_finds_no_fault_with_the_unit(tmp_path: Path) -> None:
    program = tmp_path / INSTALLED.lstrip("/")
    units = tmp_path / "etc" / "systemd" / "system"
    for folder in (program.parent, units):
        folder.mkdir(parents=True)
    shutil.copy("/bin/true", program)
    shutil.copy(UNIT, units)
    # What the unit refers to, and what those refer to.
    for target in Path("/usr/lib/systemd/system").glob("*.target"):
        if target.is_file():
            shutil.copy(target, units)
    done = systemd_analyze(f"--root={tmp_path}", "verify", UNIT.name)
    mine = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (mine, done.returncode) == ([], 0), done.stderr


@needs_systemd
def test_the_unit_gives_the_broker_little_of_the_machine() -> None:
    done = systemd_analyze("security", "--offline=true", "--no-pager", str(UNIT))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd does not look at a file: {done.stderr.strip()}")
    assert float(found[1]) <= MOST_EXPOSED


def test_a_broker_runs_where_no_memory_is_both_written_and_executed(tmp_path: Path) -> None:
    probe = subprocess.run(
        [sys.executable, "-c", _without_writable_code("print('set')")],
        capture_output=True,
        text=True,
    )
    if "set" not in probe.stdout:
        pytest.skip("this kernel has no PR_SET_MDWE")
    before = (sys.executable, "-c", _without_writable_code("os.execvp(sys.argv[1], sys.argv[1:])"))
    with ExitStack() as stack:
        ports = [stack.enter_context(ReservedPort()) for _ in range(2)]
        broker = Broker(
            tmp_path, "https://rooms.example", port=ports[0], metrics_port=ports[1], before=before
        )
        stack.callback(broker.end)
        broker.start()
        assert Curl({})(f"{broker.url}/healthz").status == 200
        assert broker.metric("links") == 0
        assert broker.stop() == 0


def test_caddy_takes_its_file_and_does_what_is_said_there() -> None:
    adapted = caddy("adapt")
    config: dict[str, Any] = json.loads(adapted.stdout)
    assert "not formatted" not in adapted.stderr
    assert config["admin"] == {"disabled": True}
    [server] = config["apps"]["http"]["servers"].values()
    assert "logs" not in server
    text = json.dumps(server)
    assert '"host": ["rooms.example.org"]' in text
    assert '"dial": "127.0.0.1:8799"' in text
    assert "trusted_proxies" not in text
    assert "flush_interval" not in text
    [log] = config["logging"]["logs"].values()
    assert log["encoder"]["fields"]["request"] == {"filter": "delete"}
    assert caddy("validate").returncode == 0


def test_an_operator_closes_a_room_as_the_runbook_says(tmp_path: Path) -> None:
    runbook = (ROOT / "docs" / "operator-runbook.md").read_text()
    block = re.search(r"^@closed .*?(?=^```$)", runbook, re.MULTILINE | re.DOTALL)
    assert block is not None
    assert "/bad-room" in block[0]
    shutil.copy(CADDYFILE, tmp_path)
    (tmp_path / "closed-rooms.caddy").write_text(block[0])
    with ExitStack() as stack:
        ports = [stack.enter_context(ReservedPort()) for _ in range(2)]
        front = Caddy(tmp_path, port=ports[0], broker_port=ports[1], file=tmp_path / "Caddyfile")
        stack.callback(front.end)
        front.start()
        curl = Curl(front.trust)
        for path in ("/bad-room", "/bad-room/", "/bad-room/wait?since_id=0"):
            answer = curl(f"{front.url}{path}")
            assert (answer.status, answer.error) == (410, "route_closed")
            assert answer.fields["content-type"] == "application/json; charset=utf-8"
        # All others are the broker's, which is not there.
        assert curl(f"{front.url}/bad-rooms/").status == 503


def caddy(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [find_caddy(), command, "--config", str(CADDYFILE), "--adapter", "caddyfile"],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def _without_writable_code(then: str) -> str:
    """Give a program that does without, and so do those that it starts, and then more."""
    return (
        "import ctypes, os, sys\n"
        f"if ctypes.CDLL(None).prctl({PR_SET_MDWE}, 1, 0, 0, 0) == 0:\n"
        f"    {then}\n"
    )
