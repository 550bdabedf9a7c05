"""An agent with nothing but the loop of its card, while its public room comes and goes."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.end_to_end.public.broker import LIFTED, Broker
from tests.end_to_end.public.curl import Curl
from tests.end_to_end.public.host import Host
from tests.end_to_end.public.ports import ReservedPort
from tests.end_to_end.terminal import DEADLINE_SECONDS, CurlAgent, eventually

# The loop's own pauses are cut short: its hour is over in some seconds.
SLEEP = """#!/bin/sh
case $1 in 60) exec {sleep} 0.01 ;; *) exec {sleep} 0.1 ;; esac
"""


class Stage(NamedTuple):
    """A broker, a room that is public there, and what its agents have in their PATH."""

    broker: Broker
    host: Host
    folder: Path
    path: dict[str, str]
    stack: ExitStack

    def agent(self, alias: str) -> CurlAgent:
        """Invite an agent, which fetches its card and waits as the card says."""
        made = CurlAgent(self.folder / alias, self.host.invite(alias)["card_command"], self.path)
        self.stack.callback(made.end)
        made.starts_waiting()
        return made

    def says(self, text: str, *listeners: CurlAgent) -> None:
        """Say something on the host's machine, and see that it is heard."""
        self.host.terminal.run("send", "all", text)
        for listener in listeners:
            eventually(lambda one=listener: any(text in heard for heard in one.texts()))

    def answered(self, status: int) -> int:
        """Count the waits that were answered so."""
        return sum(
            line.get("path_class") == "wait" and line["status"] == status
            for line in self.broker.log()
        )


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sleep").write_text(SLEEP.format(sleep=shutil.which("sleep")))
    (tools / "sleep").chmod(0o755)
    with ExitStack() as stack:
        port, metrics_port = (stack.enter_context(ReservedPort()) for _ in range(2))
        url = f"http://127.0.0.1:{port}"
        broker = Broker(tmp_path, url, port=port, metrics_port=metrics_port, options=LIFTED)
        stack.callback(broker.end)
        broker.start()
        host = Host(tmp_path / "host", "demo", url, {}, is_quick=True)
        stack.callback(host.end)
        host.opens()
        path = {"PATH": f"{tools}:{os.environ['PATH']}"}
        yield Stage(broker, host, tmp_path, path, stack)


@pytest.mark.slow
def test_the_loop_outlives_what_passes_by_and_ends_at_what_is_over(stage: Stage) -> None:
    host, broker = stage.host, stage.broker
    rev, temp = stage.agent("rev"), stage.agent("temp")
    stage.says("hello", rev, temp)

    # A seat that is removed is told so, and its loop ends.
    host.terminal.run("room", "remove", "temp")
    assert temp.loops[0].wait(DEADLINE_SECONDS) == 0
    assert '"participant_status":"removed"' in temp.heard.read_text().splitlines()[-1]

    # The host is gone, and comes back.
    host.up.kill()
    eventually(lambda: stage.answered(504) >= 3)
    host.opens()
    stage.says("the host is back", rev)

    # So does the broker. From here on it keeps a name for a second only.
    broker.kill()
    broker.command += ["--idle", "1s"]
    broker.start()
    stage.says("the broker is back", rev)

    # The host stays away: after its hour the loop says why it ends.
    host.up.kill()
    assert rev.loops[0].wait(DEADLINE_SECONDS) == 0
    heard = [json.loads(line) for line in rev.heard.read_text().splitlines()]
    assert heard[-1]["error"] == "route_expired"
    eventually(lambda: stage.answered(410) == 60)
    ids = [message["id"] for message in rev.messages()]
    assert ids == list(range(1, len(ids) + 1)), "nothing lost, nothing twice"

    # The same URL is good again once the host is there. The room's end is the loop's.
    host.opens()
    rev.starts_waiting()
    stage.says("public again", rev)
    host.terminal.run("room", "close")
    assert rev.loops[1].wait(DEADLINE_SECONDS) == 0
    assert rev.texts()[-1] == "room closed"


@pytest.mark.slow
def test_the_loop_ends_where_the_host_took_the_room_from_its_url(stage: Stage) -> None:
    rev = stage.agent("rev")
    rev.end()
    # Hosts of the older programs give their name up when they stop.
    curl, url = Curl({}), stage.broker.url
    route = curl(f"{url}/_host/register", body={"route_slug": "older"}).json["route"]
    host = {name: route[name] for name in ("route_id", "host_connection_id")}
    assert curl(f"{url}/_host/close", body=host).status == 200
    done = subprocess.run(
        ["sh", "-c", rev.set_up.replace(f"{url}/demo", f"{url}/older") + rev.loop],
        env=rev.environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["error"] == "route_closed"
