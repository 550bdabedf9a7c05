"""A room from its making to its export, with the built program alone."""

import json
import re

from playwright.sync_api import Browser

from tests.browser.visitor import Visitors
from tests.end_to_end.terminal import DEADLINE_SECONDS, eventually
from tests.smoke.machine import IDLE_STOP_SECONDS, Machine

GREETING = "Grüße, 你好 ✓"
"""What no program can print that takes C for ASCII."""


def ids_of(messages: list[dict[str, object]]) -> list[object]:
    return [message["id"] for message in messages]


def test_a_room_is_served_from_its_making_to_its_export(any_machine: Machine, port: int) -> None:
    machine = any_machine
    brief = ("--brief", "Goal: see whether it works.")
    up = machine.start("up", "up", "review", *brief, "--port", str(port))
    up.waits_to_say("The room review is open at ")

    # An agent comes and does what its card says; the host stays in the room.
    agent = machine.agent("rev", machine.json("room", "invite", "rev")["card_command"])
    assert "Goal: see whether it works." in agent.card
    assert agent.does(agent.join) == {"ok": True, "participant": "rev"}
    agent.starts_waiting()
    attending = machine.start("attend", "attend")
    assert agent.does(agent.post)["ok"] is True
    attending.waits_to_say("rev: @host I am here")
    machine.run("send", "rev", GREETING)
    eventually(lambda: f"@rev {GREETING}" in agent.texts())

    # The server is killed and started again; nobody has to do anything. What the host writes
    # meanwhile goes into the log without it.
    up.kill()
    machine.run("send", "rev", "one moment")
    up.start()
    up.waits_to_say("The room review is open at ", times=2)
    machine.run("send", "rev", "I am back")
    attending.waits_to_say("host: @rev I am back")
    eventually(lambda: "@rev I am back" in agent.texts())

    assert "FAIL" not in machine.run("doctor")
    machine.run("room", "close")
    assert attending.wait(DEADLINE_SECONDS) == 0
    assert agent.loops[0].wait(DEADLINE_SECONDS) == 0
    assert up.stop(within=IDLE_STOP_SECONDS) == 0
    heard = agent.messages()
    assert ids_of(heard) == list(range(1, len(heard) + 1)), "nothing lost, nothing twice"
    seen = re.findall(r"^(\d+) \S+ \S+: ", attending.output.read_text("utf-8"), re.MULTILINE)
    assert seen == [str(number) for number in ids_of(heard)][-len(seen) :]

    machine.run("export", "--output", "review.json", "--format", "json")
    exported = json.loads((machine.work / "review.json").read_text("utf-8"))
    assert [message["text"] for message in exported["messages"]] == agent.texts()
    machine.run("export", "--output", "review.md")
    assert GREETING in (machine.work / "review.md").read_text("utf-8")
    assert machine.left_behind() == []


def test_a_person_opens_the_link_and_reads(machine: Machine, port: int, browser: Browser) -> None:
    up = machine.start("up", "up", "review", "--port", str(port))
    up.waits_to_say("is open at")
    machine.run("send", "host", f"**{GREETING}** and `code`")
    visitors = Visitors(browser)
    try:
        ada = visitors.open(machine.json("room", "invite", "ada", "--kind", "human")["browser_url"])
        ada.sees_screen("name")
        ada.page.get_by_role("textbox", name="Your name").fill("Ada")
        ada.page.get_by_role("button", name="Enter the room").click()
        ada.enters()
        # As HTML, which the server makes with libraries that it loads for this alone.
        assert ada.sees_message(1).locator("strong", has_text=GREETING).count() == 1
        assert visitors.faults() == []
    finally:
        visitors.close()
    assert up.stop(within=IDLE_STOP_SECONDS) == 0


def test_a_room_is_public_through_the_programs_own_broker(any_machine: Machine, port: int) -> None:
    machine = any_machine
    url = f"http://127.0.0.1:{port}"
    state = ("--state-dir", str(machine.folder / "state"))
    broker = machine.start(
        "broker", "broker", "serve", "--port", str(port), "--public-url", url, *state
    )
    broker.waits_to_say(f"broker at {url}")
    up = machine.start("up", "up", "review", "--port", "0", "--tunnel", url)
    up.waits_to_say("is open at")
    tunnel = machine.folder / "home" / "rooms" / "review" / "tunnel.json"
    public = json.loads(tunnel.read_text())["public_base_url"]
    assert public.startswith(f"{url}/")

    command = machine.json("room", "invite", "rev")["card_command"]
    assert f'"{public}/card?' in command
    agent = machine.agent("rev", command)
    assert agent.set_up.startswith(f'export AG_BASE="{public}"\n')
    assert agent.does(agent.join) == {"ok": True, "participant": "rev"}
    agent.starts_waiting()
    assert agent.does(agent.post)["ok"] is True
    machine.run("send", "rev", "so am I")
    eventually(lambda: "@rev so am I" in agent.texts())
    page = machine.shell(f'curl -sS "{public}/"').stdout
    assert page.lower().startswith("<!doctype html>")

    agent.end()
    assert up.stop(within=IDLE_STOP_SECONDS) == 0
    assert not tunnel.exists()
    assert broker.stop(within=IDLE_STOP_SECONDS) == 0
    assert machine.left_behind() == []
