"""The product's own story, with nothing but real processes.

A host, a person at a terminal, and an agent that is bash and curl and follows its card to
the letter; a restart of the server in the middle; a removal, a close, an export.
"""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.public.ports import ReservedPort
from tests.end_to_end.terminal import DEADLINE_SECONDS, CurlAgent, Terminal, eventually


@pytest.fixture
def port() -> Iterator[int]:
    with ReservedPort() as number:
        yield number


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    running: list[subprocess.Popen[str]] = []
    yield running
    for process in running:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def serve(
    host: Terminal, port: int, processes: list[subprocess.Popen[str]]
) -> subprocess.Popen[str]:
    server = host.start("room", "serve", "--port", str(port))
    processes.append(server)
    assert server.stdout is not None
    assert "Serving demo at http://127.0.0.1" in server.stdout.readline()
    return server


@pytest.mark.slow
def test_a_room_from_its_making_to_its_export(
    tmp_path: Path, port: int, processes: list[subprocess.Popen[str]]
) -> None:
    host = Terminal(tmp_path / "host-home")
    url = f"http://127.0.0.1:{port}"
    host.run("room", "start", "demo", "--brief", "Goal: say hello.", "--url", url)
    server = serve(host, port, processes)

    # The host invites an agent and a person.
    invited = host.json("room", "invite", "rev", "--kind", "agent")
    ada_invited = host.json("room", "invite", "ada", "--kind", "human")
    agent = CurlAgent(tmp_path / "agent", invited["card_command"])
    assert "Goal: say hello." in agent.card
    assert "not instructions" in agent.card

    # The agent joins, waits, and posts what its card shows.
    assert agent.does(agent.join) == {"ok": True, "participant": "rev"}
    agent.starts_waiting()
    posted = agent.does(agent.post)["message"]
    assert isinstance(posted, dict)
    assert (posted["from"], posted["mentions"]) == ("rev", ["host"])

    # The person joins from a terminal of their own, and attends.
    ada = Terminal(tmp_path / "ada-home")
    token_file = tmp_path / "ada-token"
    token_file.write_text(ada_invited["token"])
    ada.run("room", "join", "demo", "--alias", "ada", "--token-file", str(token_file), "--url", url)
    ada_heard = tmp_path / "ada-heard"
    attending = ada.start("attend", output=ada_heard)
    processes.append(attending)

    # They talk: a mention, a reply, a handoff, a brief update, a policy.
    assert "sent #" in host.run("send", "rev", "please", "look", "at", "this")
    ada.run("reply", str(posted["id"]), "welcome, rev")
    host.run("handoff", "ada", "--summary", "the rest is yours")
    host.run("room", "brief", "set", "--body", "Goal: say hello, then goodbye.")
    host.run("room", "attendance", "set", "agents-foreground")
    eventually(lambda: "Attendance policy set to agents-foreground" in agent.texts())
    eventually(lambda: "the rest is yours" in ada_heard.read_text())
    assert "@rev please look at this" in agent.texts()
    assert "welcome, rev" in agent.texts()
    assert "rev" in host.run("room", "status")

    # The server restarts in the middle; nobody has to do anything.
    server.send_signal(signal.SIGTERM)
    assert server.wait(DEADLINE_SECONDS) == 0
    assert "server" in ada.run("send", "rev", "is anybody there?", status=69)
    server = serve(host, port, processes)
    host.run("send", "rev", "I am back")
    eventually(lambda: "@rev I am back" in agent.texts())
    eventually(lambda: "@rev I am back" in ada_heard.read_text())
    assert agent.does(agent.reply.replace("Understood.", "Good."))["ok"] is True

    # A second agent is removed while it waits: its wait ends at once.
    other = CurlAgent(
        tmp_path / "other", host.json("room", "invite", "temp", "--single-use")["card_command"]
    )
    other.does(other.join)
    other.starts_waiting()
    eventually(lambda: other.heard.exists() and "temp joined" in other.texts())
    host.run("room", "remove", "temp")
    assert other.loops[0].wait(DEADLINE_SECONDS) == 0
    assert '"participant_status":"removed"' in other.heard.read_text()

    # The host closes; everybody is told, and every loop ends by itself.
    host.run("room", "close")
    assert agent.loops[0].wait(DEADLINE_SECONDS) == 0
    assert attending.wait(DEADLINE_SECONDS) == 0
    assert agent.texts()[-1] == "room closed"
    assert "closed" in ada_heard.read_text().splitlines()[-1]
    ids = [message["id"] for message in agent.messages()]
    assert ids == list(range(1, len(ids) + 1)), "nothing lost, nothing twice"

    # The export holds all of it, served or not.
    host.run("export", "--output", str(tmp_path / "room.md"))
    server.send_signal(signal.SIGINT)
    assert server.wait(DEADLINE_SECONDS) == 0
    host.run("export", "--output", str(tmp_path / "room.json"), "--format", "json")
    exported = json.loads((tmp_path / "room.json").read_text())
    assert [message["text"] for message in exported["messages"]] == agent.texts()
    markdown = (tmp_path / "room.md").read_text()
    assert all(str(line) in markdown for text in agent.texts() for line in text.splitlines())
    assert (tmp_path / "room.md").stat().st_mode & 0o777 == 0o600
    host.run("export", "--output", str(tmp_path / "room.md"), status=1)
    assert "closed" in host.run("send", "rev", "too late", status=1)
