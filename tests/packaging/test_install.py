"""install.sh puts one checked file in its place, or leaves everything as it was."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentgather import __version__
from tests.cli.outside.stub_server import Answer, StubServer
from tests.cli.outside.terminal import ROOT

SCRIPT = ROOT / "packaging" / "install.sh"
SHELLS = {"sh": ["sh"], "dash": ["dash"], "busybox": ["busybox", "sh"], "bash": ["bash", "--posix"]}
FILE = f"agentgather-{__version__}-linux-x86_64"
PROGRAM = f'#!/bin/sh\n[ "$1" = --version ] && echo agentgather {__version__}\n'.encode()
OLD = b"what was installed before"
TOOLS = ("sh", "curl", "cut", "mktemp", "mkdir", "mv", "rm", "chmod", "ssh-keygen")


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    name, *options = SHELLS[request.param]
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return [path, *options]


class Machine:
    """A user's machine: a home, the tools that are in PATH, and a server to get files from."""

    def __init__(self, folder: Path, server: StubServer) -> None:
        self.home = folder / "home"
        self.bin = self.home / ".local" / "bin"
        self.installed = self.bin / "agentgather"
        self.tools = folder / "tools"
        self.server = server
        for path in (self.home, self.tools):
            path.mkdir()
        for name in (*TOOLS, "sha256sum"):
            self.has(name)
        self.is_("Linux", "x86_64")
        self.user(1000)
        self.environment = {
            "PATH": str(self.tools),
            "HOME": str(self.home),
            "AGENTGATHER_BASE_URL": f"{server.url}/v1",
        }

    def has(self, name: str) -> None:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is not installed")
        (self.tools / name).symlink_to(found)

    def says(self, name: str, text: str) -> None:
        """Have a tool of this name print a text."""
        (self.tools / name).unlink(missing_ok=True)
        (self.tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.tools / name).chmod(0o755)

    def is_(self, system: str, processor: str) -> None:
        self.says("uname", f"case $1 in -s) echo {system} ;; -m) echo {processor} ;; esac")

    def user(self, number: int) -> None:
        self.says("id", f"echo {number}")

    def run(
        self, *arguments: str, shell: list[str] | None = None, before: str = "", **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*(shell or ["sh"]), "-c", f'{before} . "{SCRIPT}"', "install.sh", *arguments],
            env=self.environment | more,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def install(self, *arguments: str, shell: list[str] | None = None, **more: str) -> str:
        done = self.run(*arguments, shell=shell, **more)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def changes_nothing(self, why: str, *arguments: str, before: str = "", **more: str) -> None:
        """Fail, say why, and leave what was installed; nothing half-way stays behind."""
        self.bin.mkdir(parents=True, exist_ok=True)
        self.installed.write_bytes(OLD)
        done = self.run(*arguments, before=before, **more)
        assert done.returncode not in (0, 2), done
        assert "; nothing was installed" in done.stderr
        assert why in done.stderr
        assert "installed" not in done.stdout
        assert self.left() == {"agentgather": OLD}

    def left(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.bin.iterdir()}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with StubServer() as server:
        server.answers = [ok(sums(PROGRAM)), ok(PROGRAM)]
        yield Machine(tmp_path, server)


def ok(body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def failed(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: 5\r\n\r\nsorry".encode()


def sums(program: bytes, name: str = FILE) -> bytes:
    other = hashlib.sha256(b"other").hexdigest()
    lines = [
        f"{other}  agentgather-{__version__}-linux-aarch64",
        f"{hashlib.sha256(program).hexdigest()}  {name}",
        f"{other}  {FILE}.tar.gz",
    ]
    return "\n".join([*lines, ""]).encode()


def asked(server: StubServer) -> list[str]:
    return [request.split(b" ")[1].decode() for request in server.requests]


# --- It works -------------------------------------------------------------------------
def test_it_installs_one_file_for_its_user(shell: list[str], machine: Machine) -> None:
    said = machine.install(shell=shell)
    assert machine.left() == {"agentgather": PROGRAM}
    assert machine.installed.stat().st_mode & 0o7777 == 0o755
    assert asked(machine.server) == ["/v1/SHA256SUMS", f"/v1/{FILE}"]
    assert f"agentgather {__version__}\n" in said
    assert f"installed {machine.installed}; begin with: agentgather up review" in said
    assert f"{machine.bin} is not in PATH" in said


def test_a_folder_in_path_needs_no_word(machine: Machine) -> None:
    said = machine.install(PATH=f"{machine.tools}:{machine.bin}")
    assert "PATH" not in said


def test_another_prefix_needs_no_home(machine: Machine, tmp_path: Path) -> None:
    machine.environment.pop("HOME")
    machine.install(PREFIX=str(tmp_path / "a place"))
    assert (tmp_path / "a place" / "bin" / "agentgather").read_bytes() == PROGRAM
    assert not machine.bin.exists()


def test_another_version_is_asked_for_by_its_number(machine: Machine) -> None:
    machine.server.answers[0] = ok(sums(PROGRAM, "agentgather-1.2.3-linux-x86_64"))
    machine.install("1.2.3")
    assert asked(machine.server)[1] == "/v1/agentgather-1.2.3-linux-x86_64"


@pytest.mark.parametrize(
    ("processor", "name"), [("amd64", "x86_64"), ("aarch64", "aarch64"), ("arm64", "aarch64")]
)
def test_each_machine_gets_its_own_file(processor: str, name: str, machine: Machine) -> None:
    machine.is_("Linux", processor)
    file = f"agentgather-{__version__}-linux-{name}"
    machine.server.answers[0] = ok(f"{hashlib.sha256(PROGRAM).hexdigest()} *{file}\n".encode())
    machine.install()
    assert asked(machine.server)[1] == f"/v1/{file}"


@pytest.mark.parametrize("tool", ["sha256sum", "shasum", "openssl"])
def test_any_of_three_tools_makes_the_hash(tool: str, machine: Machine) -> None:
    (machine.tools / "sha256sum").unlink()
    machine.has(tool)
    machine.install()
    assert machine.left() == {"agentgather": PROGRAM}


def test_an_older_one_is_replaced_and_goes_on_running(machine: Machine) -> None:
    machine.bin.mkdir(parents=True)
    machine.installed.write_bytes(OLD)
    with machine.installed.open("rb") as running:
        machine.install()
        assert running.read() == OLD
    assert machine.left() == {"agentgather": PROGRAM}


def test_a_link_is_replaced_and_what_it_leads_to_stays(machine: Machine, tmp_path: Path) -> None:
    machine.bin.mkdir(parents=True)
    (tmp_path / "elsewhere").write_bytes(OLD)
    machine.installed.symlink_to(tmp_path / "elsewhere")
    machine.install()
    assert not machine.installed.is_symlink()
    assert (tmp_path / "elsewhere").read_bytes() == OLD


def test_it_is_removed_again_and_rooms_stay(shell: list[str], machine: Machine) -> None:
    machine.install()
    (machine.home / ".agentgather").mkdir()
    said = machine.install("--uninstall", shell=shell)
    assert machine.left() == {}
    assert "rooms are still in ~/.agentgather" in said
    assert (machine.home / ".agentgather").is_dir()
    machine.install("--uninstall")
    assert len(machine.server.requests) == 2


# --- It refuses -----------------------------------------------------------------------
def test_root_has_to_ask_for_it(machine: Machine) -> None:
    machine.user(0)
    machine.changes_nothing("--as-root")
    machine.changes_nothing("--as-root", "--uninstall")
    assert machine.server.requests == []
    machine.install("--as-root")
    assert machine.left() == {"agentgather": PROGRAM}


@pytest.mark.parametrize("word", ["--nonsense", "-v", "../up", "1.0/..", "$(id)", "a b"])
def test_other_words_are_refused(word: str, machine: Machine) -> None:
    machine.changes_nothing("no option and no version", word)
    assert machine.server.requests == []


@pytest.mark.parametrize(
    ("system", "processor"), [("Darwin", "arm64"), ("Linux", "riscv64"), ("FreeBSD", "amd64")]
)
def test_a_machine_without_a_file_is_refused(system: str, processor: str, machine: Machine) -> None:
    machine.is_(system, processor)
    machine.changes_nothing(f"no file for {system} on {processor}")


@pytest.mark.hostile("D06")
@pytest.mark.parametrize("url", ["http://rooms.example/v1", "ftp://127.0.0.1/", "/tmp", "file:///"])
def test_what_others_could_change_on_the_way_is_refused(url: str, machine: Machine) -> None:
    machine.changes_nothing("is not https", AGENTGATHER_BASE_URL=url)


def test_without_a_tool_for_the_hash_nothing_is_trusted(machine: Machine) -> None:
    (machine.tools / "sha256sum").unlink()
    machine.changes_nothing("sha256sum, shasum or openssl")


def test_without_curl_nothing_is_done(machine: Machine) -> None:
    (machine.tools / "curl").unlink()
    machine.changes_nothing("curl")


def test_without_a_home_or_a_prefix_nothing_is_done(machine: Machine) -> None:
    machine.environment.pop("HOME")
    done = machine.run()
    assert done.returncode != 0
    assert "set it, or PREFIX" in done.stderr
    assert machine.server.requests == []


# --- Something goes wrong ---------------------------------------------------------------
def cut_short(connection: socket.socket) -> None:
    connection.sendall(ok(PROGRAM)[:-9])


def leads_to(place: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n".encode()


FAULTS: dict[str, tuple[list[Answer], str]] = {
    "no SHA256SUMS": ([failed("404 Not Found")], "SHA256SUMS"),
    "a server that fails": ([failed("500 Oops")], "SHA256SUMS"),
    "no answer": ([None], "SHA256SUMS"),
    "an empty SHA256SUMS": ([ok(b""), ok(PROGRAM)], f"names no {FILE}"),
    "a page in its place": ([ok(b"<!doctype html>\n<p>Sign in\n"), ok(PROGRAM)], "names no"),
    "another file's hash": ([ok(sums(PROGRAM, FILE + "x")), ok(PROGRAM)], "names no"),
    "a name that only looks alike": (
        [ok(sums(PROGRAM, FILE.replace(".", "x"))), ok(PROGRAM)],
        "names no",
    ),
    "a hash without a name": ([ok(hashlib.sha256(PROGRAM).hexdigest().encode())], "names no"),
    "no file": ([ok(sums(PROGRAM)), failed("404 Not Found")], FILE),
    "a file that is cut short": ([ok(sums(PROGRAM)), cut_short], f"/{FILE}"),
    "an empty file": ([ok(sums(PROGRAM)), ok(b"")], "is not what SHA256SUMS says"),
    "another file": ([ok(sums(PROGRAM)), ok(PROGRAM + b"\n")], "is not what SHA256SUMS says"),
    "two hashes": ([ok(sums(PROGRAM) + sums(OLD)), ok(PROGRAM)], "is not what SHA256SUMS says"),
    "a cut hash": ([ok(sums(PROGRAM).replace(b"  ", b"\n  ")), ok(PROGRAM)], "names no"),
    "a way out of the protocol": ([leads_to("file:///etc/hostname")], "SHA256SUMS"),
    "a file for another machine": ([ok(sums(OLD)), ok(OLD)], "does not run here"),
    "a file that fails": (
        [ok(sums(b"#!/bin/sh\nexit 3\n")), ok(b"#!/bin/sh\nexit 3\n")],
        "does not run here",
    ),
}


@pytest.mark.hostile("D06")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_changes_nothing(fault: str, machine: Machine) -> None:
    answers, why = FAULTS[fault]
    machine.server.answers = list(answers)
    machine.changes_nothing(why)


@pytest.mark.parametrize("fault", ["a file that is cut short", "another file"])
def test_a_fault_changes_nothing_in_any_shell(
    fault: str, shell: list[str], machine: Machine
) -> None:
    machine.server.answers = list(FAULTS[fault][0])
    assert machine.run(shell=shell).returncode == 1
    assert machine.left() == {}


def test_a_server_that_is_not_there_changes_nothing(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        taken.shutdown(socket.SHUT_RDWR)
        machine.changes_nothing("SHA256SUMS", AGENTGATHER_BASE_URL=url)


@pytest.mark.hostile("D06")
def test_a_disk_that_takes_no_more_changes_nothing(machine: Machine) -> None:
    large = PROGRAM + b"#" * 100_000
    machine.server.answers = [ok(sums(large)), ok(large)]
    # In blocks of 512 bytes: as good as a full disk, and there for everybody.
    machine.changes_nothing(f"/{FILE}", before="ulimit -f 16;")


def test_a_place_that_takes_no_file_is_said(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    machine.changes_nothing("cannot write to", PREFIX=str(tmp_path / "file"))
    machine.installed.unlink()
    machine.installed.mkdir()
    done = machine.run()
    assert done.returncode == 1
    assert "is a folder" in done.stderr
    assert list(machine.installed.iterdir()) == []


@pytest.mark.hostile("D06")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_nothing_half_way(number: signal.Signals, machine: Machine) -> None:
    started = threading.Event()

    def wait(connection: socket.socket) -> None:
        started.wait()
        connection.sendall(ok(sums(PROGRAM)))

    def interrupt(connection: socket.socket) -> None:
        connection.sendall(ok(PROGRAM)[:-9])
        os.killpg(process.pid, number)
        connection.recv(1)

    machine.server.answers = [wait, interrupt]
    process = subprocess.Popen(
        ["sh", SCRIPT],
        env=machine.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    started.set()
    assert process.wait(60) == 128 + number
    assert machine.left() == {}


@pytest.mark.hostile("D06")
def test_a_script_that_is_cut_short_does_nothing(machine: Machine) -> None:
    lines = SCRIPT.read_text().splitlines(keepends=True)
    for count in range(len(lines)):
        text = "".join(lines[:count])
        subprocess.run(
            ["sh"], input=text.encode(), env=machine.environment, capture_output=True, timeout=60
        )
    assert machine.server.requests == []
    assert not machine.bin.exists()


# --- Signed ---------------------------------------------------------------------------
def sign(folder: Path, text: bytes, key: str = "key", namespace: str = "agentgather") -> bytes:
    """Give a signature; the file of those who may sign names the key ``key``."""
    file = folder / "SHA256SUMS"
    file.write_bytes(text)
    for name in {"key", key}:
        if not (folder / name).exists():
            keygen("-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name))
    public = (folder / "key.pub").read_text()
    (folder / "signers").write_text(f'releases namespaces="agentgather" {public}')
    keygen("-Y", "sign", "-n", namespace, "-f", str(folder / key), str(file))
    return file.with_name("SHA256SUMS.sig").read_bytes()


def keygen(*arguments: str) -> None:
    subprocess.run(["ssh-keygen", "-q", *arguments], check=True, capture_output=True, timeout=60)


def test_a_signature_by_a_trusted_key_is_good(
    shell: list[str], machine: Machine, tmp_path: Path
) -> None:
    signature = sign(tmp_path, sums(PROGRAM))
    machine.server.answers.insert(1, ok(signature))
    done = machine.run(shell=shell, AGENTGATHER_SIGNERS=str(tmp_path / "signers"))
    assert done.returncode == 0
    assert 'Good "agentgather" signature for releases' in done.stdout
    assert asked(machine.server)[1] == "/v1/SHA256SUMS.sig"
    assert machine.left() == {"agentgather": PROGRAM}


@pytest.mark.hostile("D06")
@pytest.mark.parametrize(
    "fault", ["another key", "another purpose", "another text", "none", "junk"]
)
def test_any_other_signature_changes_nothing(fault: str, machine: Machine, tmp_path: Path) -> None:
    text = sums(PROGRAM)
    signature = {
        "another key": lambda: ok(sign(tmp_path, text, key="other")),
        "another purpose": lambda: ok(sign(tmp_path, text, namespace="file")),
        "another text": lambda: ok(sign(tmp_path, text + b"\n")),
        "none": lambda: (sign(tmp_path, text), failed("404 Not Found"))[1],
        "junk": lambda: (sign(tmp_path, text), ok(b"junk"))[1],
    }[fault]()
    machine.server.answers.insert(1, signature)
    machine.changes_nothing("SHA256SUMS", AGENTGATHER_SIGNERS=str(tmp_path / "signers"))
    assert len(machine.server.requests) == 2


def test_a_list_of_keys_that_is_not_there_trusts_nobody(machine: Machine, tmp_path: Path) -> None:
    machine.server.answers.insert(1, ok(sign(tmp_path, sums(PROGRAM))))
    machine.changes_nothing("not signed by a key in", AGENTGATHER_SIGNERS=str(tmp_path / "none"))


# --- The script itself ------------------------------------------------------------------
def test_it_can_be_read_in_a_minute_and_installs_this_version() -> None:
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= 80
    assert f"version={__version__} " in text
    assert SCRIPT.stat().st_mode & 0o111
    assert text.isascii()
