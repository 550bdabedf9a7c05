"""``broker serve`` as a process: it says where it is, logs, and stops in order."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 10


class Running:
    """A broker, and the port that it took."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = self._line()
        self.port = int(self.said.rpartition(":")[2])

    def _line(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline().strip()

    def get(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=STOP_SECONDS)
        connection.request("GET", path)
        status = connection.getresponse().status
        connection.close()
        return status

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def broker(
    state_dir: Path,
    *arguments: str,
    stdout: int | IO[str] = subprocess.PIPE,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    command = [sys.executable, "-W", "error", "-m", "agentgather", "broker", "serve"]
    with subprocess.Popen(
        [*command, "--port", "0", "--state-dir", str(state_dir), *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
    ) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


def logged(running: Running) -> list[dict[str, object]]:
    assert running.process.stdout is not None
    return [json.loads(line) for line in running.process.stdout]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_it_in_order(tmp_path: Path, number: int) -> None:
    with broker(tmp_path / "state") as running:
        assert running.said.startswith("agentgather: broker at http://127.0.0.1:")
        assert running.get("/healthz") == 200
        assert running.get("/nowhere/messages?token=secret") == 404
        assert running.stop(number) == 0
        lines = logged(running)
    assert [line["event"] for line in lines] == ["start", "request", "request", "stop"]
    assert lines[2]["error"] == "route_not_found"
    assert "nowhere" not in str(lines)
    assert "secret" not in str(lines)


@pytest.mark.hostile("B12")
def test_it_says_where_rooms_are_and_warns_of_a_proxy_that_it_does_not_know(
    tmp_path: Path,
) -> None:
    url = "https://rooms.example"
    with broker(tmp_path / "state", "--public-url", url) as running:
        assert running.process.stderr is not None
        assert running.process.stderr.readline() == f"agentgather: rooms at {url}/NAME\n"
        assert "--trusted-proxy" in running.process.stderr.readline()
        assert running.stop() == 0


def test_after_a_kill_the_state_is_free_and_a_broker_starts_on_it(tmp_path: Path) -> None:
    with broker(tmp_path / "state") as running:
        running.process.kill()
        running.process.wait()
    with broker(tmp_path / "state") as running:
        assert running.get("/healthz") == 200
        assert running.stop() == 0


@pytest.mark.hostile("B17")
def test_nobody_reads_its_log_and_it_serves_and_stops(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout, broker(tmp_path / "state", stdout=stdout) as running:
        for _ in range(5):
            assert running.get("/healthz") == 200
        assert running.stop() == 0


@pytest.mark.hostile("B17")
def test_a_reader_of_its_log_that_is_stuck_holds_up_nothing(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb", buffering=0) as stdout:
        os.set_blocking(writer, False)
        while True:
            try:
                if stdout.write(b"\0" * 4096) is None:
                    break
            except BlockingIOError:
                break
        os.set_blocking(writer, True)
        with broker(tmp_path / "state", stdout=writer) as running:
            for _ in range(5):
                assert running.get("/healthz") == 200
            assert running.stop() == 0
    os.close(reader)


def test_a_service_manager_hears_that_it_is_ready_lives_and_stops(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(STOP_SECONDS)
        asked = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "200000"}
        with broker(tmp_path / "state", environment=asked) as running:
            heard = [manager.recv(100) for _ in range(4)]
            assert heard == [b"READY=1", *[b"WATCHDOG=1"] * 3]
            assert running.get("/healthz") == 200
            running.process.send_signal(signal.SIGTERM)
            while manager.recv(100) != b"STOPPING=1":
                pass
            assert running.process.wait(STOP_SECONDS) == 0


def test_aborted_by_a_watchdog_it_says_where_it_was(tmp_path: Path) -> None:
    with broker(tmp_path / "state") as running:
        assert running.stop(signal.SIGABRT) == -signal.SIGABRT
        assert running.process.stderr is not None
        assert "broker_serving.py" in running.process.stderr.read()
