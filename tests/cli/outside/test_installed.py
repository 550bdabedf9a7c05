"""The program as others install it: optimised, in a plain locale, zipped, without a network."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.outside.terminal import DEADLINE_SECONDS, ROOT, Terminal, check_stderr

PACKAGE = ROOT / "agentgather"
ALONE = ("unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child")
"""In namespaces of its own, whose processes end with it."""


def source_files() -> list[Path]:
    return [
        path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]


def zipped(folder: Path) -> Path:
    """Pack the program into one file that Python imports from."""
    archive = folder / "agentgather.zip"
    with zipfile.ZipFile(archive, "w") as into:
        for path in source_files():
            into.write(path, path.relative_to(ROOT))
    return archive


def copied(folder: Path) -> Path:
    """Copy the program to a folder that nobody may write to."""
    for path in source_files():
        target = folder / "lib" / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for path in sorted((folder / "lib").rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return folder / "lib"


def listing(folder: Path) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.mark.slow
@pytest.mark.hostile("D02")
@pytest.mark.parametrize("how", ["-O", "-OO", "LC_ALL=C", "zip", "read-only"])
def test_it_works_however_it_is_installed(how: str, terminal: Terminal, tmp_path: Path) -> None:
    where = {"zip": zipped, "read-only": copied}.get(how, lambda _folder: ROOT)(tmp_path)
    # -B: what Python itself would write beside a module is none of ours.
    python = [sys.executable, "-B", "-W", "error", *([how] if how.startswith("-O") else [])]
    environment = terminal.environment | {"PYTHONPATH": str(where)}
    if how == "LC_ALL=C":
        environment |= {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    before = listing(where) if where != ROOT else set()

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*python, "-m", "agentgather", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            timeout=DEADLINE_SECONDS,
        )
        check_stderr(done.stderr.decode())
        assert done.returncode == 0, (arguments, done)
        return done.stdout.decode()

    found = [*python, "-c", "import agentgather; print(agentgather.__file__)"]
    imported = subprocess.run(found, env=environment, cwd=tmp_path, capture_output=True, check=True)
    assert imported.stdout.decode().startswith(str(where))
    assert run("--version").startswith("agentgather ")
    assert "room" in run("--help")
    run("room", "start", "demo", "--brief", "Goal: be read.")
    served = subprocess.Popen(
        [*python, "-m", "agentgather", "room", "serve", "--port", "0", "--json"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    terminal.running.append(served)
    assert served.stdout is not None
    assert json.loads(served.stdout.readline())["ok"] is True
    assert run("send", "host", "hello") == "sent #1 to @host\n"
    assert "hello" in run("messages")
    run("room", "close")
    served.terminate()
    _, err = served.communicate(timeout=DEADLINE_SECONDS)
    assert served.returncode == 0
    check_stderr(err.decode())
    if before:
        assert listing(where) == before


@pytest.mark.slow
@pytest.mark.hostile("D02", "A14")
def test_it_needs_no_network_but_its_own_machine_s(terminal: Terminal, tmp_path: Path) -> None:
    """In a network of its own, with nothing in it but loopback, and every call out noted."""
    try:
        subprocess.run([*ALONE, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces here: {error}")
    script = """
        ip link set lo up || exit 99
        agentgather() { "$PYTHON" -W error -m agentgather "$@"; }
        agentgather --version
        agentgather room start demo --brief x
        "$PYTHON" -W error -m agentgather room serve --port 8799 &
        until (: < /dev/tcp/127.0.0.1/8799) 2> /dev/null; do sleep 0.1; done
        agentgather send host hello
        agentgather messages
        agentgather room invite rev --json
        agentgather doctor
        agentgather export --output "$OUT"
        kill $!
        wait $!
    """
    environment = terminal.environment | {"PYTHON": sys.executable, "OUT": str(tmp_path / "x.md")}
    done = subprocess.run(
        [*ALONE, "bash", "-c", script],
        env=environment | {"PATH": os.environ["PATH"]},
        cwd=ROOT,
        capture_output=True,
        timeout=60,
    )
    if done.returncode == 99:
        pytest.skip("no `ip` here")
    assert done.returncode == 0, done
    assert b": @host hello" in done.stdout
    check_stderr(done.stderr.decode())
    assert "hello" in (tmp_path / "x.md").read_text()
