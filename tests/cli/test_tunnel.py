"""A room made public, by real processes: a broker, a server, a tunnel."""

import json
import shlex
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.outside.terminal import (
    DEADLINE_SECONDS,
    Done,
    Served,
    Terminal,
    ended,
    eventually,
    next_line,
)

TOKEN_VARIABLE = "AGENTGATHER_REGISTRATION_TOKEN"


class Broker:
    """A broker in a process of its own, which can be killed and started again at its port."""

    def __init__(self, path: Path, *options: str) -> None:
        self.terminal = Terminal(path / "operator")
        self.options = ("--state-dir", str(path / "state"), *options)
        self.url = ""
        self.process = self.start(port="0")

    def start(self, *, port: str | None = None) -> "subprocess.Popen[str]":
        port = port or self.url.rpartition(":")[2]
        process = self.process = self.terminal.start(
            "broker", "serve", "--port", port, *self.options
        )
        assert next_line(process) == '{"event":"start"}'
        said, _, self.url = error_line(process).rpartition(" ")
        assert said == "broker at"
        return process


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    yield broker
    broker.terminal.close()


def get(url: str, token: str, **headers: str) -> tuple[int, Any]:
    fields = {"Authorization": f"Bearer {token}", **headers}
    request = urllib.request.Request(url, headers=fields)
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def error_line(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    return process.stderr.readline().removeprefix("agentgather: ").rstrip("\n")


def interrupt(process: "subprocess.Popen[str]") -> Done:
    process.send_signal(signal.SIGINT)
    return ended(process)


def tunnel_file(host: Terminal) -> Path:
    return host.home / "rooms" / "demo" / "tunnel.json"


def routes(host: Terminal) -> Any:
    return json.loads((host.home / "rooms" / "demo" / "routes.json").read_text())


def run_tunnel(host: Terminal, *options: str) -> tuple["subprocess.Popen[str]", str]:
    process = host.start("tunnel", "run", *options, "--json")
    document = json.loads(next_line(process))
    assert list(document) == ["ok", "room", "public_url"]
    return process, document["public_url"]


# --- One process --------------------------------------------------------------------------
def test_up_makes_a_room_public_until_it_ends(broker: Broker, tmp_path: Path) -> None:
    host = Terminal(tmp_path / "home")
    process = host.start("up", "demo", "--port", "0", "--tunnel", broker.url, "--json")
    document = json.loads(next_line(process))
    public = document["public_url"]
    assert public.startswith(f"{broker.url}/demo-")
    assert error_line(process) == f"connecting to {broker.url}"
    assert error_line(process) == f"demo is public at {public}"
    assert json.loads(tunnel_file(host).read_text())["public_base_url"] == public
    invite = host.json("room", "invite", "rev")
    assert public in invite["card_command"]
    status, answer = get(f"{public}/wait?participant=rev&hold=0", invite["token"])
    assert status == 200
    assert f'"{public}/wait?' in answer["next_cmd"]
    assert f'AG_BASE="{public}"' in host.run("room", "invite-card", "rev", "--rotate")
    assert interrupt(process) == Done(0, "", "")
    assert not tunnel_file(host).exists()
    # The name stays the room's: the same again is at the same place.
    process = host.start("up", "--port", "0", "--tunnel", broker.url, "--json")
    assert json.loads(next_line(process))["public_url"] == public
    host.close()


def test_the_welcome_names_the_link_for_people_elsewhere(broker: Broker, host: Terminal) -> None:
    options = ("--port", "0", "--tunnel", broker.url, "--subdomain", "my-room")
    process = host.start("up", *options)
    link = f"{broker.url}/my-room/#token="
    lines = [next_line(process) for _ in range(4)]
    assert f"and for others at {broker.url}/my-room" in lines[0]
    assert any(link in line for line in lines)
    interrupt(process)


def test_a_room_is_served_though_its_broker_takes_no_more(broker: Broker, host: Terminal) -> None:
    other = Terminal(host.home.parent / "other")
    other.run("room", "start", "theirs")
    options = ("--port", "0", "--tunnel", broker.url, "--subdomain", "taken", "--json")
    first = other.start("room", "serve", *options)
    assert json.loads(next_line(first))["public_url"] == f"{broker.url}/taken"
    second = host.start("room", "serve", *options)
    document = json.loads(next_line(second))
    assert list(document) == ["ok", "room", "url", "room_status"]
    assert error_line(second) == f"connecting to {broker.url}"
    assert "choose one with --subdomain" in error_line(second)
    assert error_line(second).endswith(f"agentgather tunnel run --room demo --broker {broker.url}")
    assert get(f"{document['url']}/status", host.seat()["token"])[0] == 200
    assert not tunnel_file(host).exists()
    assert interrupt(second).status == 0
    other.close()


def test_a_name_that_the_broker_refuses_is_not_asked_for_again_unless_it_is_named(
    broker: Broker, host: Terminal
) -> None:
    other = Terminal(host.home.parent / "other")
    other.run("room", "start", "theirs")
    named = ("--broker", broker.url)
    theirs = other.json("tunnel", "start", *named, "--subdomain", "taken")["public_url"]
    # A room that had no name before gets one of its own.
    assert "another host's" in host.fails(1, "tunnel", "start", *named, "--subdomain", "taken")
    mine = host.json("tunnel", "start", *named)["public_url"]
    assert mine.startswith(f"{broker.url}/demo-")
    # And one that had a name keeps it, whatever else was tried.
    host.fails(1, "tunnel", "start", *named, "--subdomain", "taken")
    host.fails(1, "tunnel", "start", *named, "--subdomain", "admin")
    process = host.start("up", "--port", "0", "--tunnel", broker.url, "--json")
    assert json.loads(next_line(process))["public_url"] == mine
    interrupt(process)
    secrets = {one["slug"]: one["secret"] for one in routes(host)["asked"]}
    assert list(secrets) == ["admin", "taken"]
    # What is named again is asked for with the secret that a broker may know already.
    host.fails(1, "tunnel", "start", "--subdomain", "taken")
    assert {one["slug"]: one["secret"] for one in routes(host)["asked"]} == secrets
    assert theirs != mine
    other.close()


def test_a_broker_that_took_no_room_is_not_remembered(host: Terminal, closed_port: int) -> None:
    host.fails(69, "tunnel", "start", "--broker", f"http://127.0.0.1:{closed_port}")
    assert "--broker URL" in host.fails(2, "tunnel", "start")


def test_a_tunnel_that_the_broker_ends_leaves_its_place_to_another_process(
    tmp_path: Path, host: Terminal
) -> None:
    broker = Broker(tmp_path, "--max-lifetime", "4s")
    process = host.start("room", "serve", "--port", "0", "--tunnel", broker.url, "--json")
    document = json.loads(next_line(process))
    public, local = document["public_url"], document["url"]
    assert [error_line(process) for _ in range(2)][1] == f"demo is public at {public}"
    token = host.seat()["token"]
    said = [error_line(process) for _ in range(2)]
    assert "the broker's time for this room is over" in said[0]
    assert said[1] == (
        "demo is served on without it; to make it public again: "
        f"agentgather tunnel run --room demo --broker {broker.url}"
    )
    assert not tunnel_file(host).exists()
    assert local in host.json("room", "invite", "one")["card_command"]
    tunnel, again = run_tunnel(host)
    assert again == public
    assert public in host.json("room", "invite", "two")["card_command"]
    assert get(f"{public}/status", token)[0] == 200
    tunnel.kill()
    assert interrupt(process).status == 0
    broker.terminal.close()


@pytest.mark.hostile("T04")
def test_a_broker_that_is_killed_finds_its_host_again_at_the_same_name(
    broker: Broker, host: Terminal
) -> None:
    process = host.start("room", "serve", "--port", "0", "--tunnel", broker.url, "--json")
    public = json.loads(next_line(process))["public_url"]
    assert [error_line(process) for _ in range(2)][1] == f"demo is public at {public}"
    broker.process.kill()
    broker.process.wait()
    assert error_line(process).startswith("no tunnel: the connection was lost; next try in ")
    broker.start()
    # Not by asking again and again: the broker counts what strangers ask.
    while (said := error_line(process)) != f"demo is public at {public}":
        assert said, ended(process)
    assert get(f"{public}/status", host.seat()["token"])[0] == 200
    interrupt(process)


# --- Two processes --------------------------------------------------------------------------
def test_a_tunnel_of_its_own_is_known_to_the_server_once_it_prints_its_url(
    broker: Broker, host: Terminal
) -> None:
    served: Served = host.serve()
    token = host.seat()["token"]
    process, public = run_tunnel(host, "--broker", broker.url, "--subdomain", "my-room")
    assert public == f"{broker.url}/my-room"
    assert f'"{public}/wait?' in get(f"{public}/wait?hold=0", token)[1]["next_cmd"]
    assert public in host.json("room", "invite", "one")["card_command"]
    # One tunnel at a time: two would throw each other out for ever.
    assert f"process {process.pid}" in host.fails(1, "tunnel", "run")
    assert interrupt(process).status == 0
    assert not tunnel_file(host).exists()
    assert served.url in host.json("room", "invite", "later")["card_command"]
    served.stop()


def test_whoever_waits_at_the_public_url_is_let_in_when_the_tunnel_is_back(
    tmp_path: Path, host: Terminal
) -> None:
    """A refusal of the Host would end an agent that was told to come back by a 504."""
    broker = Broker(tmp_path, "--public-url", "https://rooms.example")
    served: Served = host.serve()
    token = host.seat()["token"]
    for name in ("one", "other"):
        process, public = run_tunnel(host, "--broker", broker.url, "--subdomain", name)
        assert public == f"https://rooms.example/{name}"
        status, answer = get(f"{broker.url}/{name}/wait?hold=0", token, host="rooms.example")
        assert status == 200
        assert f'"{public}/wait?' in answer["next_cmd"]
        interrupt(process)
    served.stop()
    broker.terminal.close()


def test_a_tunnel_without_a_server_says_so_and_waits_for_it(
    broker: Broker, host: Terminal, closed_port: int
) -> None:
    target = f"http://127.0.0.1:{closed_port}"
    process, public = run_tunnel(host, "--broker", broker.url, "--target", target)
    assert "demo is not served yet" in error_line(process)
    status, answer = get(f"{public}/status", host.seat()["token"])
    assert (status, answer["error"]) == (504, "host_unavailable")
    interrupt(process)


def test_broker_and_name_are_remembered(broker: Broker, host: Terminal) -> None:
    reserved = host.json("tunnel", "start", "--broker", broker.url, "--subdomain", "my-room")
    assert reserved["public_url"] == f"{broker.url}/my-room"
    assert not tunnel_file(host).exists()
    process, public = run_tunnel(host, "--room", "demo")
    assert public == f"{broker.url}/my-room"
    interrupt(process)
    [route] = routes(host)["routes"]
    assert (route["broker"], route["slug"]) == (broker.url, "my-room")
    assert route["secret"].startswith("agh_")


@pytest.mark.hostile("S23", "K09")
def test_a_killed_tunnel_leaves_a_file_that_nobody_believes(broker: Broker, host: Terminal) -> None:
    process, public = run_tunnel(host, "--broker", broker.url)
    process.kill()
    process.wait()
    assert tunnel_file(host).exists()
    findings = {one["name"]: one for one in host.json("doctor")["checks"]}
    assert findings["tunnel"]["result"] == "warn"
    assert "leads nowhere" in findings["tunnel"]["detail"]
    assert public not in host.json("room", "invite", "one")["card_command"]
    # And it comes back at once, at the same place.
    process, again = run_tunnel(host)
    assert again == public
    interrupt(process)


def test_doctor_knows_of_a_tunnel_that_is_tried_in_vain(host: Terminal, closed_port: int) -> None:
    nowhere = f"http://127.0.0.1:{closed_port}"
    process = host.start("tunnel", "run", "--broker", nowhere, "--subdomain", "my-room")

    def finding() -> Any:
        return next((one for one in host.json("doctor")["checks"] if one["name"] == "tunnel"), None)

    eventually(finding)
    assert finding()["result"] == "warn"
    assert f"process {process.pid} tries on" in finding()["detail"]
    interrupt(process)


@pytest.mark.hostile("T02")
def test_another_tunnel_of_the_same_name_takes_over_and_is_not_fought(
    broker: Broker, host: Terminal, tmp_path: Path
) -> None:
    first, public = run_tunnel(host, "--broker", broker.url)
    copy = Terminal(tmp_path / "copy")
    copy.home.mkdir(mode=0o700)
    subprocess.run(["cp", "-a", f"{host.home}/.", str(copy.home)], check=True)
    second, same = run_tunnel(copy)
    assert same == public
    done = ended(first)
    assert done.status == 1
    assert done.err.count("newer tunnel") == 1
    assert second.poll() is None
    interrupt(second)
    copy.close()


def test_a_room_is_not_made_public_where_nobody_is_told(broker: Broker, host: Terminal) -> None:
    with Path("/dev/full").open("w") as full:
        process = host.start("tunnel", "run", "--broker", broker.url, stdout=full)
        process.wait(DEADLINE_SECONDS)
    assert process.returncode == 1
    assert process.stderr is not None
    assert "No space left" in process.stderr.read().splitlines()[-1]
    assert not tunnel_file(host).exists()


def test_a_room_whose_server_cannot_be_told_is_not_called_public(
    broker: Broker, host: Terminal
) -> None:
    """The server takes the URL from tunnel.json, and would refuse who comes by it."""
    broker.process.terminate()
    ended(broker.process)
    process = host.start("tunnel", "run", "--broker", broker.url, "--json")
    while "no tunnel" not in (said := error_line(process)):
        assert said, ended(process)
    # The tunnel's own process has cleared the place by now.
    tunnel_file(host).mkdir()
    broker.start()
    done = ended(process)
    assert (done.status, done.out) == (1, "")
    (last,) = [line for line in done.err.splitlines() if "tunnel.json" in line]
    assert "demo is not public" in last
    assert "run this again" in last
    assert "public at" not in done.err
    tunnel_file(host).rmdir()
    process, _ = run_tunnel(host)
    interrupt(process)


# --- Tokens and misuse -----------------------------------------------------------------------
def test_a_broker_with_registration_wants_its_token(tmp_path: Path, host: Terminal) -> None:
    broker = Broker(tmp_path, "--registration", "token")
    token = broker.terminal.run(
        "broker", "token", "add", "--state-dir", str(tmp_path / "state")
    ).split()[-1]
    named = ("--broker", broker.url)
    assert "--registration-token-file FILE" in host.fails(1, "tunnel", "start", *named)
    file = tmp_path / "token"
    file.write_text(token + "\n")
    from_file = ("--registration-token-file", str(file))
    public = host.json("tunnel", "start", *named, *from_file)["public_url"]
    # Whose tunnel ends is told the command as it has to be, with the file that it needs.
    (tmp_path / "my token").write_text("agr_wrong")
    wrong = ("--registration-token-file", str(tmp_path / "my token"))
    process = host.start("up", "--port", "0", "--tunnel", broker.url, *wrong)
    while "to make it public again" not in (said := error_line(process)):
        assert said, ended(process)
    words = shlex.split(said.rpartition("agentgather ")[2])
    assert words == ["tunnel", "run", "--room", "demo", "--broker", broker.url, *wrong]
    interrupt(process)
    host.environment[TOKEN_VARIABLE] = token
    assert host.json("tunnel", "start")["public_url"] == public
    broker.terminal.close()


def test_nonsense_is_misuse(host: Terminal) -> None:
    assert "--broker URL" in host.fails(2, "tunnel", "run")
    assert "https" in host.fails(2, "tunnel", "run", "--broker", "http://rooms.example")
    for subdomain in ("UPPER", "a--b", "-a", "a.b", "a" * 64, ""):
        arguments = ("--broker", "https://rooms.example", "--subdomain", subdomain)
        assert "--subdomain" in host.fails(2, "tunnel", "run", *arguments)
    for url in ("nonsense", "ftp://x", "https://u:p@x", "https://x?y"):
        host.fails(2, "tunnel", "run", "--broker", url)
        host.fails(2, "up", "--tunnel", url)
    plain = ("--broker", "https://rooms.example", "--target", "http://rooms.example")
    assert "--insecure" in host.fails(2, "tunnel", "run", *plain)
    assert "--tunnel" in host.fails(2, "room", "serve", "--subdomain", "x")
    host.environment[TOKEN_VARIABLE] = "two\nlines"
    assert "token" in host.fails(2, "tunnel", "start", "--broker", "https://rooms.example")


def test_only_a_room_of_this_home_is_made_public(host: Terminal) -> None:
    named = ("--broker", "https://rooms.example")
    assert "not hosted" in host.fails(1, "tunnel", "run", "--room", "other", *named)


def test_a_broker_that_is_not_there_is_unreachable(host: Terminal, closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    assert "nobody listens there" in host.fails(69, "tunnel", "start", "--broker", url)


@pytest.mark.hostile("C07")
def test_no_secret_is_in_any_output(broker: Broker, host: Terminal) -> None:
    process = host.start("room", "serve", "--port", "0", "--tunnel", broker.url)
    assert "public at" in next_line(process)
    secret = routes(host)["routes"][0]
    done = interrupt(process)
    assert secret["secret"] not in done.out + done.err
    broker.process.terminate()
    told = ended(broker.process)
    assert secret["secret"] not in told.out + told.err
    assert secret["slug"] not in told.out
