"""How often somebody may do something, and the loop guard."""

import pytest
import trio

from agentgather.storage.home import Home
from agentgather.wire.limits import LOOP_GUARD_POSTS, POSTS_PER_WINDOW
from tests.doubles.asgi_client import AsgiClient, Reply
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.table import Table, open_table

pytestmark = VIRTUAL_TIME


async def post(client: AsgiClient, text: str = "x") -> Reply:
    return await client.post("/messages", {"text": text})


def check_slowed_down(reply: Reply, code: str = "rate_limited") -> int:
    assert reply.outcome == (429, code)
    retry_after = reply.headers["retry-after"]
    assert retry_after.isdigit()
    assert int(retry_after) >= 1
    return int(retry_after)


@pytest.mark.hostile("R01")
async def test_120_posts_in_a_minute_pass_and_the_next_is_not_stored(table: Table) -> None:
    for _ in range(POSTS_PER_WINDOW):
        assert (await post(table.ada)).status == 201
    assert check_slowed_down(await post(table.ada)) == 60
    assert len(table.texts()) == POSTS_PER_WINDOW
    assert (await post(table.host)).status == 201


@pytest.mark.hostile("R01")
async def test_the_window_slides_so_there_is_no_burst_of_twice_the_rate(table: Table) -> None:
    await trio.sleep(59)
    for _ in range(POSTS_PER_WINDOW):
        assert (await post(table.ada)).status == 201
    await trio.sleep(2)
    assert check_slowed_down(await post(table.ada)) == 58
    await trio.sleep(57.9)
    assert check_slowed_down(await post(table.ada)) == 1
    await trio.sleep(0.1)
    assert (await post(table.ada)).status == 201


@pytest.mark.hostile("R01")
async def test_who_comes_back_when_told_is_taken(table: Table) -> None:
    for _ in range(POSTS_PER_WINDOW):
        await post(table.ada)
        await trio.sleep(0.013)
    await trio.sleep(check_slowed_down(await post(table.ada)))
    assert (await post(table.ada)).status == 201


async def test_refused_posts_do_not_count(table: Table) -> None:
    for _ in range(POSTS_PER_WINDOW):
        assert (await post(table.ada, " ")).outcome == (400, "invalid_message")
    assert (await post(table.ada)).status == 201


async def test_a_repetition_of_the_same_key_does_not_count(table: Table) -> None:
    draft = {"text": "x", "client_msg_id": "k"}
    for _ in range(POSTS_PER_WINDOW + 5):
        assert (await table.ada.post("/messages", draft)).status in (200, 201)
    assert (await post(table.ada)).status == 201


LIMITS = [
    ("host", "/brief", {"body": "x"}, 20),
    ("host", "/attendance", {"policy": "manual-ok"}, 30),
    ("host", "/close", {}, 10),
    ("host", "/loop-guard", {}, 30),
    ("host", "/participants/bo/rotate", {}, 30),
    ("ada", "/join", {}, 60),
    ("ada", "/leave", {}, 30),
    ("ada", "/profile", {"display_name": "Ada L"}, 30),
]


@pytest.mark.parametrize(("alias", "target", "document", "count"), LIMITS)
async def test_every_other_write_has_a_rate_of_its_own(
    table: Table, alias: str, target: str, document: object, count: int
) -> None:
    client: AsgiClient = getattr(table, alias)
    for _ in range(count):
        assert (await client.post(target, document)).status == 200
    check_slowed_down(await client.post(target, document))
    await trio.sleep(60)
    reply = await client.post(target, document)
    assert reply.status == 200


async def test_invites_and_removals_share_the_rate_of_other_writes(table: Table) -> None:
    for number in range(15):
        invited = await table.host.post("/participants", {"alias": f"a{number}"})
        assert invited.status == 201
        assert (await table.host.post(f"/participants/a{number}/remove")).status == 200
    check_slowed_down(await table.host.post("/participants", {"alias": "last"}))
    check_slowed_down(await table.host.post("/participants/bo/remove"))
    assert (await post(table.host)).status == 201


# --- The loop guard -----------------------------------------------------------------------
async def agents_talk(table: Table) -> None:
    for number in range(LOOP_GUARD_POSTS):
        assert (await post((table.rev, table.bo)[number % 2])).status == 201


@pytest.mark.hostile("R02")
async def test_agents_that_talk_only_to_each_other_are_stopped(table: Table) -> None:
    await agents_talk(table)
    assert check_slowed_down(await post(table.rev), "loop_guard") == 60
    check_slowed_down(await post(table.bo), "loop_guard")
    assert len(table.texts()) == LOOP_GUARD_POSTS
    assert (await post(table.ada)).status == 201
    assert (await post(table.rev)).status == 201


@pytest.mark.hostile("R02")
async def test_the_host_can_let_agents_go_on(table: Table) -> None:
    await agents_talk(table)
    assert (await table.ada.post("/loop-guard")).outcome == (403, "host_required")
    reply = await table.host.post("/loop-guard")
    assert reply.body == b'{"ok":true,"remaining":30}\n'
    await agents_talk(table)
    check_slowed_down(await post(table.rev), "loop_guard")


@pytest.mark.hostile("R02")
async def test_agents_alone_go_on_slowly(table: Table) -> None:
    await agents_talk(table)
    for _ in range(3):
        await trio.sleep(check_slowed_down(await post(table.rev), "loop_guard"))
        assert (await post(table.rev)).status == 201


async def test_agents_coming_and_going_are_no_person(table: Table) -> None:
    await agents_talk(table)
    await table.rev.post("/join")
    await table.ada.post("/join")
    check_slowed_down(await post(table.rev), "loop_guard")


@pytest.mark.hostile("R02")
@pytest.mark.parametrize("rearmed", [False, True])
async def test_the_loop_guard_is_the_same_after_a_restart(home: Home, *, rearmed: bool) -> None:
    async with open_table(home) as table:
        await agents_talk(table)
        if rearmed:
            await table.host.post("/loop-guard")
    async with open_table(home) as table:
        reply = await post(table.rev)
        if rearmed:
            assert reply.status == 201
        else:
            check_slowed_down(reply, "loop_guard")
            await trio.sleep(60)
            assert (await post(table.rev)).status == 201


@pytest.mark.hostile("R02", "K05")
async def test_a_clock_that_is_set_back_does_not_lock_agents_out(table: Table) -> None:
    await agents_talk(table)
    table.clock.offset_ms = -3_600_000
    await trio.sleep(check_slowed_down(await post(table.rev), "loop_guard"))
    assert (await post(table.rev)).status == 201
