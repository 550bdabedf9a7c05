"""A participant's own seat: /join, /leave, /profile, /card, and who is here."""

import json
from typing import Any

import pytest
import trio

from agentgather.wire.names import RESERVED_ALIASES
from tests.doubles.asgi_client import AsgiClient
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.table import TOKENS, Table, open_table

pytestmark = VIRTUAL_TIME


# --- Coming and going -----------------------------------------------------------------------
async def test_joining_writes_one_line_per_absence(table: Table) -> None:
    for _ in range(3):
        assert (await table.rev.post("/join")).body == b'{"ok":true,"participant":"rev"}\n'
    for _ in range(3):
        assert (await table.rev.post("/leave")).body == b'{"ok":true}\n'
    await table.rev.post("/join")
    assert table.texts() == ["rev joined", "rev left", "rev joined"]
    assert (await table.rev.post("/messages", {"text": "hi"})).status == 201


async def test_who_leaves_without_having_joined_is_said_to_leave_once(table: Table) -> None:
    for _ in range(3):
        assert (await table.rev.post("/leave")).status == 200
    assert table.texts() == ["rev left"]


async def test_who_is_here_is_known_after_a_restart(home: Any) -> None:
    async with open_table(home) as table:
        await table.rev.post("/join")
        await table.ada.post("/join")
        await table.ada.post("/leave")
    async with open_table(home) as table:
        await table.rev.post("/join")
        await table.ada.post("/join")
        assert table.texts() == ["rev joined", "ada joined", "ada left", "ada joined"]


async def test_many_joins_at_once_write_one_line(table: Table) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(table.rev.post, "/join")
    assert table.texts() == ["rev joined"]


@pytest.mark.parametrize(
    "target", ["/join", "/leave", "/close", "/loop-guard", "/participants/bo/rotate"]
)
@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"", None),
        (b"{}", None),
        (b' {"from":"ada","anything":[1]}', None),
        (b"null", (400, "invalid_body")),
        (b"[]", (400, "invalid_body")),
        (b'"x"', (400, "invalid_body")),
        (b"42", (400, "invalid_body")),
        (b"{}{}", (400, "invalid_json")),
        (b'{"a":1}x', (400, "invalid_json")),
        (b'{"a":"\xff"}', (400, "invalid_json")),
        (b'{"a":"\xed\xa0\x80"}', (400, "invalid_json")),
        (b"\xef\xbb\xbf{}", (400, "invalid_json")),
        (b'{"x":' + b"[" * 60_000, (400, "invalid_json")),
    ],
)
async def test_where_no_body_is_needed_it_is_absent_or_an_object(
    table: Table, target: str, body: bytes, outcome: tuple[int, str] | None
) -> None:
    reply = await table.host.post(target, body=body)
    assert reply.outcome == (outcome or (200, "ok"))


# --- Profile ------------------------------------------------------------------------------
SEAT_KEYS = [
    *("alias", "display_name", "kind", "location", "install", "attention", "is_host"),
    *("joinedAt", "lastSeenAt", "attendance_required", "attendance_state"),
    *("last_seen_age_ms", "stale_after_ms"),
]


async def test_a_profile_is_the_seat_as_others_see_it(table: Table) -> None:
    reply = await table.rev.post("/profile", {"display_name": "  The \t Reviewer "})
    participant = reply.json()["participant"]
    assert list(reply.json()) == ["ok", "participant"]
    assert list(participant) == SEAT_KEYS
    assert participant["display_name"] == "The Reviewer"
    assert (await table.rev.get("/profile")).body == reply.body
    seats = (await table.ada.get("/status")).json()["participants"]
    assert [seat for seat in seats if seat["alias"] == "rev"] == [participant]
    assert table.texts() == []


async def test_a_name_survives_a_restart(home: Any) -> None:
    async with open_table(home) as table:
        await table.rev.post("/profile", {"display_name": "Zoë"})
    async with open_table(home) as table:
        assert (await table.rev.get("/profile")).json()["participant"]["display_name"] == "Zoë"


@pytest.mark.hostile("U02", "U03")
@pytest.mark.parametrize(
    ("document", "outcome"),
    [
        ({}, (400, "invalid_display_name")),
        ({"display_name": None}, (400, "invalid_display_name")),
        ({"display_name": 5}, (400, "invalid_display_name")),
        ({"display_name": ""}, (400, "invalid_display_name")),
        ({"display_name": "a" * 61}, (400, "invalid_display_name")),
        ({"display_name": "a\x00b"}, (400, "invalid_display_name")),
        ({"display_name": "\u202eada"}, (400, "invalid_display_name")),
        ({"display_name": "\u200b"}, (400, "invalid_display_name")),
        ({"display_name": "bo"}, (409, "display_name_taken")),
        ({"display_name": "Ｂ О"}, (409, "display_name_taken")),
        ({"display_name": "Ada Lоvelace"}, (409, "display_name_taken")),
        (None, (400, "invalid_body")),
        ([], (400, "invalid_body")),
        *(
            ({"display_name": name.title()}, (400, "reserved_name"))
            for name in sorted(RESERVED_ALIASES)
        ),
    ],
)
async def test_a_name_that_deceives_is_refused(
    table: Table, document: object, outcome: tuple[int, str]
) -> None:
    await table.ada.post("/profile", {"display_name": "Ada Lovelace"})
    before = (await table.host.get("/status")).body
    assert (await table.rev.post("/profile", document)).outcome == outcome
    assert (await table.host.get("/status")).body == before


async def test_a_host_may_have_its_own_alias_as_its_name(table: Table) -> None:
    assert (await table.host.post("/profile", {"display_name": "Host"})).status == 200
    assert (await table.rev.post("/profile", {"display_name": "Hоst"})).status == 400


@pytest.mark.hostile("S19")
async def test_of_two_who_want_one_name_at_once_one_gets_it(table: Table) -> None:
    outcomes = []

    async def rename(client: AsgiClient) -> None:
        outcomes.append((await client.post("/profile", {"display_name": "Kim"})).status)

    async with trio.open_nursery() as nursery:
        for client in (table.rev, table.bo, table.ada):
            nursery.start_soon(rename, client)
    assert sorted(outcomes) == [200, 409, 409]


# --- Status -------------------------------------------------------------------------------
async def test_the_status_has_its_keys_and_no_secret(table: Table) -> None:
    reply = await table.rev.get("/status")
    document = reply.json()
    assert list(document) == [
        *("ok", "room", "me", "is_host", "room_status", "brief_version", "attendance_policy"),
        *("stale_after_ms", "brief_updated_at", "brief_updated_by", "participants"),
    ]
    assert (document["me"], document["is_host"]) == ("rev", False)
    assert (await table.host.get("/status")).json()["is_host"] is True
    assert [seat["alias"] for seat in document["participants"]] == list(TOKENS)
    assert b"hash" not in reply.body
    assert b"token" not in reply.body


# --- Card -----------------------------------------------------------------------------------
async def test_a_card_is_text_that_nobody_stores(table: Table) -> None:
    for reply in (
        await table.rev.get("/card"),
        await table.rev.get("/card?participant=rev"),
        await table.anyone.get(f"/card?participant=rev&token={TOKENS['rev']}"),
    ):
        assert reply.status == 200
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.text.startswith("# Attend Card: rev in demo\n")
        assert "Goal: say hello." in reply.text


@pytest.mark.hostile("A05")
@pytest.mark.parametrize("alias", ["host", "ada", "nobody", "", "REV"])
async def test_a_card_is_its_holder_s_alone(table: Table, alias: str) -> None:
    target = f"/card?participant={alias}&token={TOKENS['rev']}"
    assert (await table.anyone.get(target)).outcome == (403, "participant_mismatch")
    assert (await table.rev.get(f"/card?participant={alias}")).outcome == (
        403,
        "participant_mismatch",
    )


@pytest.mark.hostile("A06")
async def test_reading_a_card_uses_no_invite_up(table: Table) -> None:
    invite = (await table.host.post("/participants", {"alias": "x", "single_use": True})).json()
    link = f"/card?participant=x&token={invite['token']}"
    for _ in range(2):
        assert (await table.anyone.get(link)).status == 200
    x = AsgiClient(table.app, invite["token"])
    await x.post("/join")
    assert (await table.anyone.get(link)).outcome == (410, "invite_used")
    # Its holder may still read it, and is in.
    assert (await x.get("/card")).status == 200
    assert (await x.post("/messages", {"text": "hi"})).status == 201


async def test_a_card_of_an_ordinary_invite_can_be_read_again(table: Table) -> None:
    await table.rev.post("/join")
    assert (await table.anyone.get(f"/card?token={TOKENS['rev']}")).status == 200


async def test_a_removed_seat_has_no_card(table: Table) -> None:
    await table.host.post("/participants/rev/remove")
    reply = await table.anyone.get(f"/card?token={TOKENS['rev']}")
    assert reply.outcome == (410, "participant_removed")


# --- Removed seats --------------------------------------------------------------------------
@pytest.mark.hostile("A01")
async def test_a_removed_participant_can_do_nothing_more(table: Table) -> None:
    await table.rev.post("/join")
    await table.host.post("/participants/rev/remove")
    gone = (410, "participant_removed")
    for target in ("/brief", "/status", "/messages", "/events", "/card", "/profile"):
        assert (await table.rev.get(target)).outcome == gone
    for target in ("/messages", "/join", "/leave", "/profile", "/brief", "/close"):
        assert (await table.rev.post(target, {"text": "x"})).outcome == gone
    assert table.texts() == ["rev joined", "rev removed"]


# --- Observers ------------------------------------------------------------------------------
async def test_an_observer_reads_waits_and_comes_and_goes(table: Table) -> None:
    for target in ("/brief", "/status", "/messages", "/card", "/profile", "/wait?hold=0"):
        assert (await table.eve.get(target)).status == 200
    assert (await table.eve.post("/join")).status == 200
    assert (await table.eve.post("/messages", {"text": "x"})).outcome == (403, "observer_read_only")
    seats = (await table.host.get("/status")).json()["participants"]
    assert [seat.get("role") for seat in seats] == [None, None, None, None, "observer"]
    assert table.texts() == ["eve joined"]


# --- Raw tokens -----------------------------------------------------------------------------
@pytest.mark.hostile("A11")
@pytest.mark.parametrize("act", ["/join", "/messages", "/wait?hold=0", "/leave", "/profile"])
async def test_a_raw_token_is_kept_until_its_holder_first_acts(table: Table, act: str) -> None:
    invite = (await table.host.post("/participants", {"alias": "x"})).json()
    tokens = table.folder / "tokens.json"
    assert json.loads(tokens.read_bytes())["tokens"] == {"x": invite["token"]}
    x = AsgiClient(table.app, invite["token"])
    await x.get("/card")
    await x.get("/status")
    assert invite["token"] in tokens.read_text()
    if act.startswith("/wait"):
        await x.get(act)
    else:
        await x.post(act, {"text": "hi", "display_name": "Mx X"})
    await table.settled()
    if act != "/profile":
        assert invite["token"].encode() not in b"".join(
            path.read_bytes() for path in table.folder.rglob("*") if path.is_file()
        )
