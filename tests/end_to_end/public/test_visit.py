"""The whole story through HTTPS: an agent with a card, a person in Chromium, a close."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from tests.browser.chromium import open_chromium
from tests.browser.visitor import Visitors
from tests.end_to_end.public.front import Front
from tests.end_to_end.terminal import DEADLINE_SECONDS, eventually

HOLD_SECONDS = 25
T = TypeVar("T")


@pytest.fixture(scope="module")
def visitors() -> Iterator[Visitors]:
    """People with a browser."""
    with open_chromium() as chromium:
        people = Visitors(chromium)
        yield people
        people.close()


@pytest.mark.slow
@pytest.mark.browser
def test_a_public_room_from_its_opening_to_its_close(front: Front, visitors: Visitors) -> None:
    host = front.host("demo")
    assert host.opens() == f"{front.url}/demo"

    # The agent's command, its card and all that it says there are of the public URL.
    agent = front.agent(host, "rev")
    assert f'export AG_BASE="{front.url}/demo"' in agent.card
    assert host.local_url() not in agent.card
    assert agent.does(agent.join) == {"ok": True, "participant": "rev"}
    first = agent.does(agent.wait)
    assert str(first["next_cmd"]).startswith(f'curl -s "{front.url}/demo/wait?participant=rev&')

    # Meanwhile one agent waits for what never comes, and one client never sends its body.
    quiet = front.agent(host, "quiet")
    quiet.does(quiet.join)
    after = quiet.does(quiet.wait)
    held = str(after["next_cmd"]).replace("since_id=", "for=me&since_id=")
    with ThreadPoolExecutor() as beside:
        waiting = beside.submit(_timed, lambda: quiet.does(held))
        unsent = beside.submit(_timed, lambda: _post_without_body(front, host.token))

        # The agent waits in the loop of its card, and a person comes by the link that she got.
        agent.starts_waiting()
        ada = visitors.open(host.invite("ada", "human")["browser_url"], ignore_https_errors=True)
        assert ada.base == f"{front.url}/demo/"
        ada.sees_screen("name")
        ada.page.get_by_role("textbox", name="Your name").fill("Ada")
        ada.page.keyboard.press("Enter")
        ada.enters()
        posted = agent.does(agent.post)
        ada.sees_message("I am here and have read the brief.")
        ada.says("welcome, @rev")
        eventually(lambda: "welcome, @rev" in agent.texts())
        host.terminal.run("send", "rev", "from the host's own machine")
        eventually(lambda: "@rev from the host's own machine" in agent.texts())
        ada.sees_message("from the host's own machine")
        reply = agent.reply.replace('"reply_to":1', f'"reply_to":{_id_of(posted)}')
        assert agent.does(reply)["ok"] is True
        ada.sees_message("Understood.")

        answer, seconds = waiting.result()
        assert (answer["heartbeat"], answer["messages"]) == (True, [])
        assert answer["keep_waiting"] is True
        assert HOLD_SECONDS - 1 <= seconds < HOLD_SECONDS + 5
        refusal, seconds = unsent.result()
        assert "408" in refusal.splitlines()[0]
        assert '"error":"body_timeout"' in refusal
        assert seconds < 40

    # The close ends all: a held wait, a loop, a page.
    quiet.starts_waiting()
    host.terminal.run("room", "close")
    assert agent.loops[0].wait(DEADLINE_SECONDS) == 0
    assert quiet.loops[0].wait(DEADLINE_SECONDS) == 0
    ada.sees_screen("room")
    ada.sees_state("closed")
    ids = [message["id"] for message in agent.messages()]
    assert agent.texts()[-1] == "room closed"
    assert ids == list(range(1, len(ids) + 1)), "nothing lost, nothing twice"
    assert agent.messages() == host.log()
    assert visitors.faults() == []
    written = front.all_output()
    assert [secret for secret in host.secrets() if secret in written] == []

    # One Ctrl-C ends room and tunnel; the name stays this host's.
    assert host.up.stop() == 0
    assert not (host.room_files / "tunnel.json").exists()
    assert front.curl(f"{front.url}/demo").json["host_connected"] is False


def _timed(what: Callable[[], T]) -> tuple[T, float]:
    began = time.monotonic()
    return what(), time.monotonic() - began


def _id_of(posted: dict[str, object]) -> int:
    message = posted["message"]
    assert isinstance(message, dict)
    return int(message["id"])


def _post_without_body(front: Front, token: str) -> str:
    """Announce a body, send none, and give what comes back until the connection ends."""
    trusting = ssl.create_default_context(cafile=str(front.caddy.authority))
    with (
        socket.create_connection(("127.0.0.1", front.caddy.port), 60) as plain,
        trusting.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        head = (
            f"POST /demo/messages HTTP/1.1\r\nHost: localhost:{front.caddy.port}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
            "Content-Length: 1000\r\n\r\n"
        )
        connection.sendall(head.encode())
        answer = b""
        while more := connection.recv(4096):
            answer += more
    return answer.decode()
