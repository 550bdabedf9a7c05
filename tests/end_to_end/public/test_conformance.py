"""The contract is kept behind a broker and Caddy, over HTTPS, and what Caddy answers itself is
told apart."""

import json
import subprocess
import sys
from typing import Final

import pytest

from tests.end_to_end.public.front import Front

# What may be lost or altered on such a way; the rest is tried without Caddy.
CHAPTERS: Final = ("answer", "body", "close", "deadline", "events", "export", "host", "origin")
FURTHER: Final = ("page", "request", "token", "wait")
NOT_SEEN: Final = {
    # Caddy refuses or mends what is no proper request.
    "request.version",
    "request.no-preface",
    "request.absolute-target",
    "request.two-hosts",
    "request.two-lengths",
    "request.length-and-chunks",
    "request.bare-line-end",
    "request.folded-header",
    "request.spaced-header",
    # It waits longer for the end of a head.
    "deadline.headers",
    # It knows other names, and is not asked by one of this machine alone.
    "host.another",
    "host.loopback",
}


@pytest.mark.slow
def test_the_contract_is_kept_through_https(lifted_front: Front) -> None:
    host = lifted_front.host("kept")
    url = host.opens()
    command = [sys.executable, "-m", "agentgather", "conformance", url, "--json", "--close"]
    command += ["--host-token", "-"]
    for chapter in (*CHAPTERS, *FURTHER):
        command += ["--only", f"{chapter}."]
    done = subprocess.run(
        command,
        input=host.token,
        env=host.terminal.environment,
        capture_output=True,
        text=True,
        timeout=110,
    )
    document = json.loads(done.stdout)
    found = document["clauses"]
    assert {one["clause"]: one["detail"] for one in found if one["result"] == "failed"} == {}
    assert {one["clause"] for one in found if one["result"] == "skipped"} <= NOT_SEEN
    assert done.returncode == 0
    assert document["passed"] > 100
