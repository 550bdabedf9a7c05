"""Install each artefact from scratch, and have a room with what came of it.

Whatever the artefact, the program is tried in the same way, by :func:`try_program`: with an
empty environment, in a folder of its own, by a host and by an agent that has only curl.
"""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from release.gate import ReleaseFailed
from release.parts import Pin, read_pins

_SECONDS: Final = 60
"""Nothing here takes as long, on however slow a machine; the first start unpacks a file."""
_BACKEND: Final = "setuptools"
FORMS: Final = ("wheel", "source", "tarball", "file")


def try_form(form: str, dist: Path, folder: Path, version: str, packaging: Path) -> None:
    """Install one of ``FORMS`` in an empty folder, and run what came of it."""
    match form:
        case "wheel":
            try_wheel(dist / f"agentgather-{version}-py3-none-any.whl", folder, version, packaging)
        case "source":
            try_source(dist / f"agentgather-{version}.tar.gz", folder, version, packaging)
        case "tarball":
            try_tarball(find_built(dist, version, ".tar.gz"), folder, version)
        case "file":
            try_file(find_built(dist, version, ""), folder, version)


def find_built(dist: Path, version: str, ending: str) -> Path:
    """Give the built program whose name ends so: `.tar.gz` for the folder, "" for the file.

    Raises:
        ReleaseFailed: there is none, or more than one.

    """
    start = f"agentgather-{version}-linux-"
    names = [one for one in dist.iterdir() if one.name.startswith(start)]
    found = [one for one in names if one.name.endswith(".tar.gz") == (ending == ".tar.gz")]
    if len(found) != 1:
        raise ReleaseFailed(f"`make binary` left {len(found)} of {start}…{ending}, not one")
    return found[0]


def try_wheel(wheel: Path, folder: Path, version: str, packaging: Path) -> None:
    """Install a wheel beside what requirements.txt pins, and nothing else."""
    python = _make_environment(folder, packaging)
    _pip(python, "--no-deps", "--no-index", str(wheel))
    try_program(python.with_name("agentgather"), folder, version)


def try_source(source: Path, folder: Path, version: str, packaging: Path) -> None:
    """Build and install a source archive, with the build backend that is pinned."""
    python = _make_environment(folder, packaging)
    pins = read_pins((packaging / "requirements-dev.txt").read_text("utf-8"))
    backend = folder / "backend.txt"
    backend.write_text("".join(_line(pin) for pin in pins if pin.name == _BACKEND), "utf-8")
    _pip(python, "--require-hashes", "-r", str(backend))
    _pip(python, "--no-deps", "--no-index", "--no-build-isolation", str(source))
    try_program(python.with_name("agentgather"), folder, version)


def try_tarball(tarball: Path, folder: Path, version: str) -> None:
    """Unpack the folder form."""
    unpack(tarball, folder / "unpacked")
    programs = sorted((folder / "unpacked").glob("*/agentgather"))
    if len(programs) != 1:
        raise ReleaseFailed(f"{tarball.name} holds {len(programs)} programs, and must hold one")
    try_program(programs[0], folder, version)


def unpack(tarball: Path, folder: Path) -> None:
    """Unpack a `.tar.gz` as a user does."""
    folder.mkdir()
    command = ["tar", "-xzf", str(tarball), "-C", str(folder)]
    if subprocess.run(command).returncode != 0:
        raise ReleaseFailed(f"tar cannot unpack {tarball.name}")


def try_file(file: Path, folder: Path, version: str) -> None:
    """Copy the single file, as a download that was made executable."""
    program = folder / "agentgather"
    shutil.copyfile(file, program)
    program.chmod(0o755)
    try_program(program, folder, version)


def try_program(program: Path, folder: Path, version: str) -> None:
    """Have a room with a program: host, agent with curl, close, check.

    Raises:
        ReleaseFailed: something in it is not as it must be.

    """
    home = folder / "home"
    home.mkdir()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home)}

    def run(*command: str) -> str:
        done = subprocess.run(
            command, env=environment, cwd=home, capture_output=True, text=True, timeout=_SECONDS
        )
        if done.returncode != 0:
            said = done.stderr or done.stdout
            raise ReleaseFailed(f"{' '.join(command[:4])} ended with {done.returncode}: {said}")
        return done.stdout

    def host(*arguments: str) -> str:
        return run(str(program), *arguments)

    _expect(host("--version").strip() == f"agentgather {version}", "another version")
    host("doctor")
    host("doctor", "--verify")
    host("room", "start", "trial", "--brief", "Goal: see whether it works.")
    said = folder / "server.log"
    with said.open("wb") as log:
        server = subprocess.Popen(
            [str(program), "room", "serve", "--port", "0"],
            env=environment,
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with server:
        assert server.stdout is not None
        try:
            is_served = server.stdout.readline().startswith("Serving trial at http://")
            _expect(is_served, f"no server: {said.read_text('utf-8', 'replace')}")
            _converse(host, run)
            server.send_signal(signal.SIGTERM)
            _expect(server.wait(_SECONDS) == 0, "a server that does not end in order")
        finally:
            server.kill()
    host("doctor")


def _converse(host: Callable[..., str], run: Callable[..., str]) -> None:
    invite: dict[str, Any] = json.loads(host("room", "invite", "rev", "--json"))
    _expect("see whether it works" in run("sh", "-c", invite["card_command"]), "no card")
    base = invite["browser_url"].partition("/#")[0]
    answer = run(
        "curl",
        "-sS",
        f"{base}/messages",
        "-H",
        f"authorization: Bearer {invite['token']}",
        "-H",
        "content-type: application/json",
        "-d",
        '{"text":"@host it does"}',
    )
    _expect(json.loads(answer)["message"]["mentions"] == ["host"], "no message")
    _expect("<!doctype html>" in run("curl", "-sS", f"{base}/").lower(), "no page")
    _expect("rev: @host it does" in host("messages"), "a message that is not there")
    _expect(json.loads(host("room", "close", "--json"))["ok"], "a room that does not close")


def _expect(is_so: object, otherwise: str) -> None:
    if not is_so:
        raise ReleaseFailed(f"tried out, the program gives {otherwise}")


def _make_environment(folder: Path, packaging: Path) -> Path:
    """Make a virtual environment with what ships; give its Python."""
    # The one that this one was made from: an environment in an environment has two parents.
    parent: str = sys._base_executable  # type: ignore[attr-defined] # not documented
    subprocess.run([parent, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    _pip(python, "--require-hashes", "-r", str(packaging / "requirements.txt"))
    return python


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise ReleaseFailed(f"pip install {' '.join(arguments)}:\n{done.stderr[-2000:]}")


def _line(pin: Pin) -> str:
    hashes = " ".join(f"--hash=sha256:{one}" for one in pin.hashes)
    return f"{pin.name}=={pin.version} {hashes}\n"
