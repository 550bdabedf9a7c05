"""What ends and comes back: the broker, the tunnel, the host, a machine that sleeps."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.end_to_end.public.front import Front
from tests.end_to_end.public.host import Host, pause, resume, seconds_until_there
from tests.end_to_end.terminal import CurlAgent, eventually

BACK_SECONDS = 30
Waits = list[subprocess.Popen[str]]
HELD = 8


@pytest.fixture(scope="module")
def room(lifted_front: Front) -> Host:
    """A room that is public."""
    host = lifted_front.host("demo")
    host.opens()
    return host


@pytest.fixture(scope="module")
def agent(lifted_front: Front, room: Host) -> Iterator[CurlAgent]:
    """Its agent, in the loop of its card from the first test to the last."""
    rev = lifted_front.agent(room, "rev")
    rev.does(rev.join)
    rev.starts_waiting()
    yield rev
    ids = [message["id"] for message in rev.messages()]
    assert ids == list(range(1, len(ids) + 1)), "nothing lost, nothing twice"


def say(front: Front, host: Host, text: str) -> None:
    """Post as the host, through the front."""
    url = f"{front.url}/{host.slug}/messages"
    posted = front.curl(url, token=host.token, body={"text": text})
    assert posted.status == 201, posted


def advertised(front: Front, host: Host) -> str:
    """Give the base URL that the room's own server tells to those elsewhere."""
    card = front.curl(f"{host.local_url()}/card?base=public", token=host.token).body
    found = re.search(r'^export AG_BASE="(.*)"$', card, re.MULTILINE)
    assert found is not None, card
    return found[1]


def held_waits(front: Front, host: Host, count: int) -> Waits:
    """Hold so many waits that nothing wakes, each in a curl of its own."""
    tokens = [host.invite(f"h{index}")["token"] for index in range(count // 4)]
    end = host.log()[-1]["id"]
    url = f"{front.url}/{host.slug}/wait?for=me&since_id={end}"
    already = front.broker.metric("waits_held")
    waits = [front.curl.start(url, "--include", token=token) for token in tokens for _ in range(4)]
    eventually(lambda: front.broker.metric("waits_held") >= already + count)
    return waits


def answers(waits: Waits) -> list[str]:
    return [wait.communicate(timeout=BACK_SECONDS)[0] for wait in waits]


@pytest.mark.hostile("T04")
@pytest.mark.slow
def test_a_broker_that_was_killed_comes_back_and_gives_no_name_away(
    lifted_front: Front, room: Host, agent: CurlAgent
) -> None:
    front = lifted_front
    say(front, room, "before the kill")
    eventually(lambda: "before the kill" in agent.texts())
    attacker = front.host("attacker")
    attacker.terminal.run("room", "start", "attacker")

    front.broker.kill()
    # The owner is late, and the attacker is the first in line.
    pause(room.up)
    front.broker.start()
    claim = ("tunnel", "start", "--broker", front.url, "--subdomain", "demo")
    assert "the name is another host's" in attacker.terminal.run(*claim, status=1)
    run = ("tunnel", "run", "--broker", front.url, "--subdomain", "demo")
    assert "the name is another host's" in attacker.terminal.run(*run, status=1)
    away = front.curl(f"{front.url}/demo/messages?since_id=0", token=room.token)
    assert (away.status, away.error) == (504, "host_unavailable")
    assert int(away.fields["retry-after"]) >= 1
    assert away.seconds < 3
    resume(room.up)

    seconds = seconds_until_there(front.curl, f"{front.url}/demo", room.token, at_most=BACK_SECONDS)
    print(f"back {seconds:.1f} s after the owner was")
    assert room.public_url() == f"{front.url}/demo"
    say(front, room, "after the kill")
    eventually(lambda: "after the kill" in agent.texts())


@pytest.mark.hostile("B13")
@pytest.mark.slow
def test_a_broker_that_is_told_to_stop_answers_all_and_has_the_hosts_back(
    lifted_front: Front, room: Host, agent: CurlAgent
) -> None:
    front = lifted_front
    say(front, room, "before the stop")
    eventually(lambda: "before the stop" in agent.texts())
    waits = held_waits(front, room, HELD)

    told = front.broker
    before = room.said().count("no tunnel")
    began = time.monotonic()
    told.send(signal.SIGTERM)
    texts = answers(waits)
    assert time.monotonic() - began < 5
    assert told.wait() == 0
    assert time.monotonic() - began < 10
    for text in texts:
        head, _, body = text.partition("\n\n")
        assert "503" in head.splitlines()[0]
        assert "retry-after:" in head.lower()
        assert json.loads(body)["error"] == "shutting_down"
    # The host was told, and did not find out.
    eventually(lambda: room.said().count("no tunnel") > before)
    told_why = room.said().rpartition("no tunnel: ")[2].splitlines()[0]
    assert "the broker goes away for a while" in told_why

    told.start()
    seconds = seconds_until_there(front.curl, f"{front.url}/demo", room.token, at_most=BACK_SECONDS)
    print(f"back {seconds:.1f} s after the broker was")
    say(front, room, "after the stop")
    eventually(lambda: "after the stop" in agent.texts())
    events = [line["event"] for line in told.log()]
    assert events.count("start") == events.count("stop") + 2, "one kill, one order, and it runs"


@pytest.mark.hostile("K09")
@pytest.mark.slow
def test_a_tunnel_of_its_own_is_killed_and_has_its_name_back(lifted_front: Front) -> None:
    front = lifted_front
    host = front.host("apart")
    host.terminal.run("room", "start", "apart", "--brief", "Goal: stand apart.")
    reserved = host.terminal.json("tunnel", "start", "--broker", front.url, "--subdomain", "apart")
    assert reserved["public_url"] == f"{front.url}/apart"
    assert front.curl(f"{front.url}/apart").json["host_connected"] is False

    host.serves()
    assert host.tunnels() == reserved["public_url"]
    # The room's server knows of a tunnel from the moment that its URL is printed.
    assert advertised(front, host) == reserved["public_url"]
    rev = front.agent(host, "rev")
    assert f'export AG_BASE="{front.url}/apart"' in rev.card
    rev.does(rev.join)
    rev.starts_waiting()
    assert rev.does(rev.post)["ok"] is True
    eventually(lambda: "rev joined" in rev.texts())

    with ThreadPoolExecutor() as beside:
        waits = held_waits(front, host, 4)
        ends = beside.submit(_timed_answers, waits)
        began = time.monotonic()
        host.tunnel.kill()
        texts, ended = ends.result()
        assert ended - began < 3, "held waits are over with the link"
    assert all("504" in text.splitlines()[0] for text in texts)
    refused = front.curl(f"{front.url}/apart/status", token=host.token)
    assert (refused.status, refused.error) == (504, "host_unavailable")
    assert refused.seconds < 1
    # A tunnel that is gone is believed by nobody: not by the room, not by who invites.
    eventually(lambda: advertised(front, host) == host.local_url())
    assert host.local_url() in host.invite("bob")["card_command"]

    began = time.monotonic()
    assert host.tunnels() == reserved["public_url"]
    taken = time.monotonic() - began
    print(f"the name was back {taken:.1f} s after the start of a new tunnel")
    assert taken < 5 + BACK_SECONDS / 3
    say(front, host, "and on it goes")
    eventually(lambda: "and on it goes" in rev.texts())
    host.terminal.run("room", "close")
    assert rev.loops[0].wait(BACK_SECONDS) == 0
    assert [message["id"] for message in rev.messages()] == [one["id"] for one in host.log()]
    assert host.tunnel.stop() == 0
    assert not (host.room_files / "tunnel.json").exists()
    assert host.room.stop() == 0


@pytest.mark.hostile("K10")
@pytest.mark.slow
def test_a_machine_that_slept_for_a_while_is_there_when_it_wakes(
    lifted_front: Front, room: Host, agent: CurlAgent
) -> None:
    front = lifted_front
    say(front, room, "before the nap")
    eventually(lambda: "before the nap" in agent.texts())
    pause(room.up, front.broker)
    # Longer than what both take for a gap. Nothing runs that could be waited for.
    time.sleep(6)
    resume(front.broker, room.up)
    seconds = seconds_until_there(front.curl, f"{front.url}/demo", room.token, at_most=15)
    print(f"there {seconds:.1f} s after waking")
    say(front, room, "after the nap")
    eventually(lambda: "after the nap" in agent.texts())


@pytest.mark.hostile("K09")
@pytest.mark.slow
def test_a_host_that_was_killed_comes_back_with_room_and_name(
    lifted_front: Front, room: Host, agent: CurlAgent
) -> None:
    front = lifted_front
    say(front, room, "before the crash")
    eventually(lambda: "before the crash" in agent.texts())
    room.up.kill()
    refused = front.curl(f"{front.url}/demo/status", token=room.token)
    assert (refused.status, refused.error) == (504, "host_unavailable")
    assert refused.seconds < 1
    room.opens()
    seconds = seconds_until_there(front.curl, f"{front.url}/demo", room.token, at_most=5)
    print(f"there {seconds:.1f} s after the room was open")
    assert room.public_url() == f"{front.url}/demo"
    say(front, room, "after the crash")
    eventually(lambda: "after the crash" in agent.texts())


def _timed_answers(waits: Waits) -> tuple[list[str], float]:
    return answers(waits), time.monotonic()
