"""What the host does: brief, policy, invites, removals, rotations, the close."""

import json
from typing import Any

import pytest
import trio

from agentgather.domain.tokens import hash_token
from agentgather.wire.limits import MAX_BRIEF_UNITS, MAX_INVITE_SECONDS
from agentgather.wire.names import ATTENDANCE_POLICIES, RESERVED_ALIASES
from tests.doubles.asgi_client import AsgiClient
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.table import MADE_AT, TOKENS, Table, open_table

pytestmark = VIRTUAL_TIME


def read(table: Table, name: str) -> Any:
    return json.loads((table.folder / name).read_bytes())


# --- Brief --------------------------------------------------------------------------------
async def test_a_brief_has_a_version_a_time_and_an_author(table: Table) -> None:
    assert (await table.rev.get("/brief")).json() == {
        "ok": True,
        "brief": {
            "body": "Goal: say hello.",
            "brief_version": 1,
            "brief_updated_at": MADE_AT,
            "brief_updated_by": "host",
        },
    }
    await trio.sleep(1)
    body = " Goal: \u202e é😀\n```\n"
    posted = await table.host.post("/brief", {"body": body})
    assert posted.body == (await table.rev.get("/brief")).body
    assert list(posted.json()["brief"].items()) == [
        ("body", body),
        ("brief_version", 2),
        ("brief_updated_at", "2026-01-02T03:04:06.000Z"),
        ("brief_updated_by", "host"),
    ]
    assert table.texts() == ["Room brief updated to v2"]
    assert (table.folder / "brief.md").read_bytes() == body.encode()
    assert read(table, "room.json")["brief_version"] == 2


async def test_a_brief_survives_a_restart(home: Any) -> None:
    async with open_table(home) as table:
        await table.host.post("/brief", {"body": "second"})
    async with open_table(home) as table:
        brief = (await table.rev.get("/brief")).json()["brief"]
        assert (brief["body"], brief["brief_version"]) == ("second", 2)
        assert (await table.ada.say("hi"))["id"] == 2


@pytest.mark.parametrize(
    ("document", "outcome"),
    [
        ({}, (400, "invalid_body")),
        ({"body": None}, (400, "invalid_body")),
        ({"body": ["x"]}, (400, "invalid_body")),
        ([], (400, "invalid_body")),
        ({"body": "x" * (MAX_BRIEF_UNITS + 1)}, (413, "brief_too_large")),
        ({"body": "😀" * (MAX_BRIEF_UNITS // 2) + "x"}, (413, "brief_too_large")),
    ],
)
async def test_a_brief_that_is_none_is_refused(
    table: Table, document: object, outcome: tuple[int, str]
) -> None:
    assert (await table.host.post("/brief", document)).outcome == outcome
    assert (await table.rev.get("/brief")).json()["brief"]["brief_version"] == 1
    assert table.texts() == []


@pytest.mark.parametrize("body", ["", "x" * MAX_BRIEF_UNITS, "😀" * (MAX_BRIEF_UNITS // 2)])
async def test_the_empty_and_the_longest_brief_are_taken(table: Table, body: str) -> None:
    assert (await table.host.post("/brief", {"body": body})).status == 200
    assert (await table.rev.get("/brief")).json()["brief"]["body"] == body


# --- Policy ---------------------------------------------------------------------------------
@pytest.mark.parametrize("policy", ATTENDANCE_POLICIES)
async def test_a_policy_is_set_and_told(table: Table, policy: str) -> None:
    reply = await table.host.post("/attendance", {"policy": policy})
    assert reply.body == f'{{"ok":true,"attendance_policy":"{policy}"}}\n'.encode()
    assert table.texts() == [f"Attendance policy set to {policy}"]
    assert (await table.rev.get("/status")).json()["attendance_policy"] == policy
    assert read(table, "room.json")["attendance_policy"] == policy


@pytest.mark.parametrize("policy", ["", "all", "Manual-OK", None, 5, ["manual-ok"], "manual-ok\n"])
async def test_another_policy_is_refused(table: Table, policy: object) -> None:
    reply = await table.host.post("/attendance", {"policy": policy})
    assert reply.outcome == (400, "invalid_policy")
    assert (await table.host.post("/attendance", {})).outcome == (400, "invalid_policy")
    assert table.texts() == []


async def test_who_has_to_stay_follows_the_policy(table: Table) -> None:
    await table.host.post("/attendance", {"policy": "agents-foreground"})
    await table.rev.get("/wait?hold=0")
    seats = (await table.rev.get("/status")).json()["participants"]
    states = {seat["alias"]: seat["attendance_state"] for seat in seats}
    assert states == {
        "host": "manual",
        "ada": "manual",
        "rev": "attending",
        "bo": "not_attending",
        "eve": "manual",
    }


# --- Invites --------------------------------------------------------------------------------
async def test_an_invite_is_shown_once_with_all_that_its_holder_needs(table: Table) -> None:
    reply = await table.host.post("/participants", {"alias": "new-1", "kind": "human"})
    assert reply.status == 201
    invite = reply.json()
    assert list(invite) == ["ok", "room", "alias", "kind", "token", "card_command", "browser_url"]
    token = invite["token"]
    assert token.startswith("agp_")
    assert invite["card_command"] == (
        f'curl -s "http://127.0.0.1:8787/card?participant=new-1&token={token}"'
    )
    assert invite["browser_url"] == f"http://127.0.0.1:8787/#token={token}"
    stored = read(table, "participants.json")[-1]
    assert stored["token_hash"] == hash_token(token)
    assert token not in json.dumps(stored)
    new = AsgiClient(table.app, token)
    assert (await new.post("/join")).status == 200
    assert (await new.say("@rev hi"))["from"] == "new-1"
    assert (await table.rev.say("@new-1 welcome"))["mentions"] == ["new-1"]


async def test_an_invite_names_the_public_url_if_there_is_one(home: Any) -> None:
    async with open_table(home, public_urls=("https://rooms.example/my-room/",)) as table:
        invite = (await table.host.post("/participants", {"alias": "new"})).json()
        assert invite["browser_url"].startswith("https://rooms.example/my-room/#token=")
        assert '"https://rooms.example/my-room/card?' in invite["card_command"]


@pytest.mark.parametrize("kept", ["", "/participants"])
async def test_a_prefix_that_reads_as_part_of_an_endpoint_hides_none(home: Any, kept: str) -> None:
    """On loopback and behind a proxy that takes the prefix off, and where one left it on."""
    async with open_table(home, public_urls=("https://rooms.example/participants",)) as table:
        for path in ("", "/new/rotate", "/new/remove"):
            answer = await table.host.post(f"{kept}/participants{path}", {"alias": "new"})
            assert answer.status in (200, 201), path
        assert (await table.rev.get(f"{kept}/status")).status == 200


@pytest.mark.hostile("U01", "U03")
@pytest.mark.parametrize(
    ("draft", "outcome"),
    [
        *(
            ({"alias": alias}, (400, "invalid_alias"))
            for alias in (
                *("", "Operator", "оperator", "ｏperator", "operator\u200b", "operator "),
                *("operator\n", "a" * 65, "-x", "--json", "..", "a/b", "a\x00", "%61"),
            )
        ),
        *(({"alias": alias}, (400, "reserved_name")) for alias in sorted(RESERVED_ALIASES)),
        ({}, (400, "invalid_alias")),
        ({"alias": None}, (400, "invalid_alias")),
        ({"alias": 5}, (400, "invalid_alias")),
        ({"alias": "rev"}, (409, "alias_taken")),
        ({"alias": "a", "kind": "host"}, (400, "invalid_kind")),
        ({"alias": "a", "kind": None}, (400, "invalid_kind")),
        ({"alias": "a", "role": "host"}, (400, "invalid_role")),
        ({"alias": "a", "expires_in_s": 0}, (400, "invalid_expiry")),
        ({"alias": "a", "expires_in_s": -5}, (400, "invalid_expiry")),
        ({"alias": "a", "expires_in_s": 1.5}, (400, "invalid_expiry")),
        ({"alias": "a", "expires_in_s": True}, (400, "invalid_expiry")),
        ({"alias": "a", "expires_in_s": "1h"}, (400, "invalid_expiry")),
        ({"alias": "a", "expires_in_s": MAX_INVITE_SECONDS + 1}, (400, "invalid_expiry")),
        ({"alias": "a", "expires_in_s": 10**400}, (400, "invalid_expiry")),
        ({"alias": "a", "single_use": "yes"}, (400, "invalid_body")),
        ([], (400, "invalid_body")),
    ],
)
async def test_an_invite_of_another_form_is_refused_and_makes_no_seat(
    table: Table, draft: object, outcome: tuple[int, str]
) -> None:
    before = (table.folder / "participants.json").read_bytes()
    assert (await table.host.post("/participants", draft)).outcome == outcome
    assert (table.folder / "participants.json").read_bytes() == before


@pytest.mark.hostile("A13")
async def test_inviting_a_host_s_alias_again_takes_nothing_from_the_host(table: Table) -> None:
    await table.host.post("/participants", {"alias": "host"})
    assert (await table.host.get("/status")).json()["is_host"] is True


@pytest.mark.hostile("A06")
async def test_an_invite_expires_unless_somebody_used_it(table: Table) -> None:
    tokens = {}
    for alias in ("used", "unused"):
        draft = {"alias": alias, "expires_in_s": 3600}
        tokens[alias] = (await table.host.post("/participants", draft)).json()["token"]
    used, unused = (AsgiClient(table.app, tokens[alias]) for alias in ("used", "unused"))
    assert (await used.post("/join")).status == 200
    await trio.sleep(3599.999)
    assert (await unused.get("/card")).status == 200
    await trio.sleep(0.001)
    for target in ("/card", "/messages", "/wait", "/events"):
        assert (await unused.get(target)).outcome == (410, "invite_expired")
    assert (await unused.post("/join")).outcome == (410, "invite_expired")
    link = f"/card?token={tokens['unused']}"
    assert (await table.anyone.get(link)).outcome == (410, "invite_expired")
    assert (await used.get("/messages")).status == 200


@pytest.mark.hostile("S19")
async def test_of_two_invites_for_one_alias_at_once_one_is_taken(table: Table) -> None:
    outcomes = []

    async def invite() -> None:
        outcomes.append((await table.host.post("/participants", {"alias": "new"})).status)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(invite)
    assert sorted(outcomes) == [201, 409, 409, 409, 409]


# --- Removal and rotation -----------------------------------------------------------------------
async def test_a_removal_is_told_to_the_room_and_stays_in_the_roster(table: Table) -> None:
    reply = await table.host.post("/participants/rev/remove")
    assert list(reply.json()) == ["ok", "participant"]
    assert reply.json()["participant"]["removed_at"] == MADE_AT
    assert table.texts() == ["rev removed"]
    assert (await table.ada.say("@rev are you there?"))["mentions"] == []
    again = await table.host.post("/participants/rev/remove")
    assert again.outcome == (404, "unknown_participant")
    assert (await table.host.post("/participants/rev/rotate")).outcome == (
        404,
        "unknown_participant",
    )
    assert (await table.host.post("/participants", {"alias": "rev"})).outcome == (
        409,
        "alias_taken",
    )


async def test_the_last_host_stays(table: Table) -> None:
    reply = await table.host.post("/participants/host/remove")
    assert reply.outcome == (409, "host_required")
    assert (await table.host.get("/status")).json()["is_host"] is True


async def test_a_rotation_gives_a_fresh_invite_and_ends_the_old_token(table: Table) -> None:
    await table.rev.post("/join")
    invite = (await table.host.post("/participants/rev/rotate")).json()
    assert list(invite) == ["ok", "room", "alias", "kind", "token", "card_command", "browser_url"]
    assert (await table.rev.get("/messages")).outcome == (403, "forbidden")
    renewed = AsgiClient(table.app, invite["token"])
    assert (await renewed.say("it is me"))["from"] == "rev"
    assert read(table, "tokens.json")["tokens"] == {}


async def test_the_host_may_rotate_its_own_seat_and_stays_host(table: Table) -> None:
    invite = (await table.host.post("/participants/host/rotate")).json()
    assert (await table.host.get("/status")).outcome == (403, "forbidden")
    renewed = AsgiClient(table.app, invite["token"])
    assert (await renewed.post("/close")).status == 200


@pytest.mark.parametrize("verb", ["remove", "rotate"])
async def test_a_removal_and_a_rotation_survive_a_restart(home: Any, verb: str) -> None:
    async with open_table(home) as table:
        await table.host.post(f"/participants/rev/{verb}")
    async with open_table(home) as table:
        status = (await table.rev.get("/messages")).status
        assert status == (410 if verb == "remove" else 403)


# Each of these once wrote the seat back as it was when the request came.
IN_FLIGHT = [
    ("POST", "/join", {}),
    ("POST", "/leave", {}),
    ("POST", "/profile", {"display_name": "Someone Else"}),
    ("POST", "/messages", {"text": "hi"}),
    ("GET", "/wait?hold=1", None),
    ("GET", "/profile", None),
]


@pytest.mark.hostile("A16")
@pytest.mark.parametrize(("method", "target", "document"), IN_FLIGHT)
@pytest.mark.parametrize("verb", ["remove", "rotate"])
async def test_no_request_in_flight_undoes_a_removal_or_a_rotation(
    table: Table, verb: str, method: str, target: str, document: object
) -> None:
    live = table.live
    host = live.room.roster.get("host")
    assert host is not None
    for turns in range(28):
        alias = f"x{turns}"
        invite = (await table.host.post("/participants", {"alias": alias})).json()
        await trio.sleep(120)
        client = AsgiClient(table.app, invite["token"])
        body = b"" if document is None else json.dumps(document).encode()
        async with client.open(method, target, body=body) as exchange:
            # As many turns as it takes to get past any of its checks.
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            if verb == "remove":
                _, staged = live.remove(host, alias, live.clock())
            else:
                _, staged = live.rotate(host, alias, f"agp_{turns:043}", live.clock())
            await staged.wait_durable()
            await table.settled()
            exchange.left.set()
        seat = live.room.roster.get(alias)
        assert seat is not None
        if verb == "remove":
            assert seat.removed_at is not None, f"undone after {turns} turns"
            assert alias not in live.room.roster.present
        else:
            assert seat.token_hash == hash_token(f"agp_{turns:043}"), f"undone after {turns} turns"
            assert live.room.roster.by_hash(hash_token(invite["token"])) is None


# --- Many changes at once -------------------------------------------------------------------
@pytest.mark.hostile("S19")
async def test_of_200_changes_of_the_roster_at_once_none_is_lost(home: Any) -> None:
    async with open_table(home) as table:
        clients = {}
        for number in range(25):
            invite = (await table.host.post("/participants", {"alias": f"x{number}"})).json()
            clients[f"x{number}"] = AsgiClient(table.app, invite["token"])
        await trio.sleep(60)
        async with trio.open_nursery() as nursery:
            for number, (alias, client) in enumerate(clients.items()):
                nursery.start_soon(client.post, "/join")
                nursery.start_soon(client.post, "/profile", {"display_name": f"Name {alias}"})
                nursery.start_soon(client.get, "/wait?hold=0")
                nursery.start_soon(client.post, "/messages", {"text": "hi"})
                nursery.start_soon(client.get, "/card")
                if number % 5 == 0:
                    nursery.start_soon(table.host.post, "/participants", {"alias": f"y{number}"})
                if number % 10 == 0:
                    nursery.start_soon(table.host.post, f"/participants/{alias}/remove")
    async with open_table(home) as table:
        seats = {seat.alias: seat for seat in table.live.room.roster}
        assert set(seats) == (
            set(TOKENS) | set(clients) | {f"y{number}" for number in range(0, 25, 5)}
        )
        for number, alias in enumerate(clients):
            if number % 10 == 0:
                assert seats[alias].removed_at
            else:
                assert seats[alias].display_name == f"Name {alias}"
                assert seats[alias].claimed_at
        assert table.texts().count("hi") >= 22


# --- Close ----------------------------------------------------------------------------------
async def test_a_close_is_written_once_however_often_it_is_asked_for(table: Table) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(table.host.post, "/close")
    reply = await table.host.post("/close")
    assert reply.body == b'{"ok":true,"room_status":"closed"}\n'
    assert table.texts() == ["room closed"]
    assert read(table, "room.json")["status"] == "closed"


@pytest.mark.hostile("S20")
async def test_a_closed_room_is_read_and_not_written(table: Table) -> None:
    await table.ada.say("hi")
    await table.rev.post("/join")
    await table.host.post("/close")
    closed = (403, "room_closed")
    assert (await table.ada.post("/messages", {"text": "x"})).outcome == closed
    assert (await table.bo.post("/join")).outcome == closed
    for target, document in (
        ("/brief", {"body": "x"}),
        ("/attendance", {"policy": "manual-ok"}),
        ("/participants", {"alias": "new"}),
        ("/loop-guard", {}),
    ):
        assert (await table.host.post(target, document)).outcome == closed
    for target in ("/status", "/messages", "/brief", "/card", "/profile"):
        assert (await table.ada.get(target)).status == 200
    assert (await table.ada.get("/status")).json()["room_status"] == "closed"
    assert (await table.rev.post("/leave")).status == 200
    assert (await table.host.post("/participants/rev/remove")).status == 200
    assert (await table.host.post("/participants/bo/rotate")).status == 200
    assert table.texts() == ["hi", "rev joined", "room closed"]


@pytest.mark.parametrize(
    ("document", "code"), [({"text": " "}, "room_closed"), ({"text": 5}, "room_closed")]
)
async def test_that_a_room_is_closed_is_told_before_what_is_wrong_with_a_message(
    table: Table, document: object, code: str
) -> None:
    await table.host.post("/close")
    assert (await table.ada.post("/messages", document)).error == code


@pytest.mark.hostile("S20")
async def test_every_post_that_was_taken_comes_before_the_close_and_reaches_every_waiter(
    table: Table,
) -> None:
    taken: list[int] = []
    found: dict[str, list[int]] = {}

    async def post(number: int) -> None:
        client = (table.ada, table.host)[number % 2]
        for _ in range(4):
            reply = await client.post("/messages", {"text": f"{number}"})
            if reply.status == 201:
                taken.append(reply.json()["message"]["id"])
            else:
                assert reply.outcome == (403, "room_closed")
                return

    async def follow(name: str, client: AsgiClient, query: str) -> None:
        since_id: int = 0
        ids = found.setdefault(name, [])
        while True:
            document = (await client.get(f"/wait?since_id={since_id}{query}")).json()
            ids += [message["id"] for message in document["messages"]]
            since_id = document["next_since_id"]
            if document["next_cmd"] is None:
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow, "rev", table.rev, "")
        nursery.start_soon(follow, "bo", table.bo, "&for=me")
        nursery.start_soon(follow, "eve", table.eve, "")
        await table.settled()
        for number in range(50):
            nursery.start_soon(post, number)
            if number == 30:
                nursery.start_soon(table.host.post, "/close")
    closed_at = table.texts().index("room closed") + 1
    assert closed_at == len(table.texts())
    assert sorted(taken) == list(range(1, closed_at))
    for ids in found.values():
        assert ids == list(range(1, closed_at + 1))
