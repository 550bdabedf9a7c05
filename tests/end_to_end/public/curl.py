"""The real curl, and its answers."""

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

PATIENCE_SECONDS: Final = 60
_MARK: Final = "\n%{http_code} %{time_total}"


class Answer(NamedTuple):
    """One answer. Names of ``fields`` are in lower case; ``seconds`` is until its end."""

    status: int
    fields: dict[str, str]
    body: str
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document

    @property
    def error(self) -> str:
        return str(self.json.get("error", ""))


class Curl:
    """curl with a certificate authority to trust. Status 0: nobody answered."""

    def __init__(self, trust: Mapping[str, str], before: tuple[str, ...] = ()) -> None:
        authority = trust.get("CURL_CA_BUNDLE")
        self._command = [*before, "curl", "--silent", "--max-time", str(PATIENCE_SECONDS)]
        if authority:
            self._command += ["--cacert", authority]

    def arguments(self, url: str, *further: str, token: str | None = None) -> list[str]:
        """Give the whole command."""
        command = [*self._command, *further]
        if token is not None:
            command += ["--header", f"Authorization: Bearer {token}"]
        return [*command, url]

    def __call__(
        self, url: str, *further: str, token: str | None = None, body: object = None
    ) -> Answer:
        """Ask once; with a ``body`` it is a POST."""
        further = ("--include", "--write-out", _MARK, *further)
        data = None
        if body is not None:
            further += ("--header", "Content-Type: application/json", "--data-binary", "@-")
            data = json.dumps(body)
        done = subprocess.run(
            self.arguments(url, *further, token=token),
            input=data,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS + 10,
        )
        answer, _, mark = done.stdout.rpartition("\n")
        status, seconds = mark.split(" ")
        # As curl shows it: \r\n between fields, and an empty line after them.
        head, _, text = answer.partition("\n\n")
        fields = [line.partition(":") for line in head.splitlines()[1:]]
        return Answer(
            int(status),
            {name.lower(): value.strip() for name, _, value in fields},
            text,
            float(seconds),
        )

    def start(self, url: str, *further: str, token: str) -> subprocess.Popen[str]:
        """Ask, and read the answer while it comes."""
        return subprocess.Popen(
            self.arguments(url, "--no-buffer", *further, token=token),
            env={"PATH": os.environ["PATH"]},
            stdout=subprocess.PIPE,
            text=True,
        )

    def statuses(self, url: str, *further: str, token: str | None = None) -> list[int]:
        """Ask for many, in one process; ``[1-60]`` in the URL makes them."""
        done = subprocess.run(
            self.arguments(
                url, "--output", os.devnull, "--write-out", "%{http_code}\n", *further, token=token
            ),
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS + 10,
        )
        return [int(line) for line in done.stdout.split()]
