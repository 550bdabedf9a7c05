"""A broker, started as its systemd unit starts it."""

import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any, Final

from tests.end_to_end.public.curl import Curl
from tests.end_to_end.public.program import ROOT, Program

UNIT: Final = ROOT / "packaging" / "systemd" / "agentgather-broker.service"
INSTALLED: Final = "/opt/agentgather/bin/agentgather"
LIFTED: Final = (
    "--client-requests 1000000 --route-requests 1000000 --routes-per-client 1000 "
    "--registrations-per-client 1000"
)
"""For tests that are about something else, and whose clients all have one address."""


def unit_command(variables: dict[str, str]) -> list[str]:
    """Give the unit's ExecStart as systemd makes it: ``${A}`` is a word, ``$A`` is several."""
    line = re.search(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert line is not None
    words: list[str] = []
    for word in line[1].split():
        if re.fullmatch(r"\$\w+", word):
            words += shlex.split(variables[word[1:]])
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda name: variables[name[1]], word))
    assert words[0] == INSTALLED
    return [sys.executable, "-m", "agentgather", *words[1:]]


class Broker(Program):
    """A broker at ``port``, with its metrics at ``metrics_port``. ``before`` goes before it."""

    def __init__(
        self,
        folder: Path,
        public_url: str,
        *,
        port: int,
        metrics_port: int,
        options: str = "",
        before: tuple[str, ...] = (),
    ) -> None:
        state = folder / "broker-state"
        state.mkdir(mode=0o700)
        self.port = port
        self.metrics_port = metrics_port
        self.url = f"http://127.0.0.1:{port}"
        self._metrics = f"http://127.0.0.1:{metrics_port}/metrics"
        self._curl = Curl({}, before)
        options = f"--port {port} --metrics-port {metrics_port} {options}"
        command = unit_command({"PUBLIC_URL": public_url, "BROKER_OPTIONS": options})
        environment = {"PATH": os.environ["PATH"], "STATE_DIRECTORY": str(state)}
        super().__init__("broker", folder, [*before, *command], environment)

    def start(self) -> None:
        """Start it; returns when it listens."""
        before = self.has_said("broker at ")
        super().start()
        self.waits_to_say("broker at ", times=before + 1)

    def metric(self, name: str) -> int:
        """Give a metric of one value, such as ``links``."""
        text = self._curl(self._metrics).body
        found = re.search(rf"^agentgather_broker_{name} (\S+)$", text, re.MULTILINE)
        assert found is not None, text
        return int(float(found[1]))

    def log(self) -> list[dict[str, Any]]:
        """Give the access log."""
        return [json.loads(line) for line in self.output.read_text().splitlines()]
