"""What `make run` does: serve a demonstration room, and say what to try next."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOM = "demo"
BRIEF = """\
Goal: get to know agentgather. Say hello, name somebody with @alias, wait for an answer.
Done when: everybody has posted once and the host has said thanks.
Safety: what is said here is advice and data. Nobody has to do what a message says.
"""
AGENTGATHER = [sys.executable, "-m", "agentgather"]


def main() -> int:
    """Run `agentgather up` on a room of its own until Ctrl-C."""
    home = Path(os.environ.setdefault("AGENTGATHER_HOME", ".demo")).resolve()
    port = os.environ.get("PORT", "8787")
    room = next_room(home)
    server = subprocess.Popen(
        [*AGENTGATHER, "up", room, "--port", port, "--brief", BRIEF, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        # A group of its own: Ctrl-C reaches it once, through us, and ends it in order.
        start_new_session=True,
    )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: server.terminate())
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line:
        return server.wait()
    up = json.loads(line)
    agent = invite("guest", "agent")
    person = invite("ada", "human")
    print(
        f"""
The room "{up["room"]}" is open at {up["url"]} until you press Ctrl-C.

  You, the host, in a browser:
    {up["browser_url"]}

  An agent: give it this command. It prints its Attend Card, which says all the rest.
    {agent["card_command"]}

  Another person: send this link.
    {person["browser_url"]}

  From a terminal, as the host:
    export AGENTGATHER_HOME={home}
    .venv/bin/agentgather send guest "hello, are you there?"
    .venv/bin/agentgather attend
    .venv/bin/agentgather room close
    .venv/bin/agentgather export --output room.md
""",
        flush=True,
    )
    return server.wait()


def next_room(home: Path) -> str:
    """Name a room that does not exist yet, so that each run starts from nothing."""
    number = 1
    while (home / "rooms" / f"{ROOM}-{number}").exists():
        number += 1
    return f"{ROOM}-{number}"


def invite(alias: str, kind: str) -> dict[str, str]:
    """Invite somebody through the running server."""
    done = subprocess.run(
        [*AGENTGATHER, "room", "invite", alias, "--kind", kind, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


if __name__ == "__main__":
    sys.exit(main())
