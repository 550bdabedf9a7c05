"""Who may register, and what it costs to try."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from agentgather.broker.gate import CheckToken, Gate
from agentgather.broker.leases import Terms
from agentgather.broker.quota import Quotas
from agentgather.broker.registration_quota import RegistrationQuota, ReturnQuota
from agentgather.broker.route import Route
from agentgather.broker.routes import Routes
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import (
    FAULT_PAUSE_SECONDS,
    NOTES_PER_REGISTRATION,
    RATE_WINDOW_SECONDS,
    REGISTRATION_WINDOW_SECONDS,
    RETURNS_PER_WINDOW,
)

ADA, EVE = b"a" * 32, b"e" * 32
HOME, AWAY = "192.0.2.1", "198.51.100.1"


class Disk:
    async def keep(self, slug_hash: str, owner: bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def drop(self, slug_hash: str) -> None:
        await trio.lowlevel.checkpoint()


class Entry:
    """A gate, and what it counted."""

    def __init__(self, check_token: CheckToken | None = None) -> None:
        self.counted: list[str] = []
        self.noted: list[tuple[str, str | None]] = []
        self.routes = Routes(Disk(), lambda slug: f"<{slug}>", terms=Terms(900, 28_800, 100, 1000))
        quota = RegistrationQuota(Quotas(registrations_per_client=3))
        self.gate = Gate(
            self.routes,
            quota,
            ReturnQuota(),
            "https://rooms.example/x",
            check_token=check_token,
            count=self.counted.append,
            note=lambda slug, code, _seconds: self.noted.append((slug, code)),
        )

    async def admit(
        self, slug: str, owner: bytes = ADA, *, token: str = "", client: str = HOME
    ) -> Route:
        return await self.gate.admit(slug, owner, token, client)

    async def refused(self, slug: str, owner: bytes = ADA, **more: str) -> Rejected:
        """Try in vain, and have it counted as the endpoints do."""
        with pytest.raises(Rejected) as caught:
            await self.admit(slug, owner, **more)
        self.gate.count_failure(more.get("client", HOME), caught.value, slug)
        return caught.value


def accepting(*tokens: str) -> Callable[[str], Awaitable[bool]]:
    async def check(token: str) -> bool:
        await trio.lowlevel.checkpoint()
        return token in tokens

    return check


async def test_a_claim_and_a_return_are_counted_apart() -> None:
    entry = Entry()
    route = await entry.admit("demo")
    assert await entry.admit("demo") is route
    assert entry.counted == ["claimed", "returned"]
    assert entry.gate.public_url("demo") == "https://rooms.example/x/demo"


async def test_so_many_claims_an_hour_and_failures_count_as_well(
    autojump_clock: MockClock,
) -> None:
    entry = Entry()
    await entry.admit("one")
    assert (await entry.refused("no slug!")).code == "invalid_registration"
    await entry.admit("taken", EVE, client=AWAY)
    assert (await entry.refused("taken")).code == "route_slug_taken"
    refusal = await entry.refused("two")
    assert refusal.code == "rate_limited"
    assert refusal.retry_after is not None
    assert refusal.retry_after >= 1
    for _ in range(10):
        await entry.admit("one")  # an owner's return is free
    await entry.admit("three", EVE, client=AWAY)
    await trio.sleep(REGISTRATION_WINDOW_SECONDS + 61)
    await entry.admit("two")


async def test_being_told_to_wait_makes_the_wait_no_longer(autojump_clock: MockClock) -> None:
    entry = Entry()
    for number in range(3):
        await entry.admit(f"room-{number}")
    for _ in range(50):
        assert (await entry.refused("one-more")).code == "rate_limited"
        await trio.sleep(REGISTRATION_WINDOW_SECONDS / 50)
    await trio.sleep(61)
    await entry.admit("one-more")


async def test_a_token_is_asked_for_before_a_slug_is_looked_at() -> None:
    """Whoever has none learns of no slug whether it is taken."""
    entry = Entry(accepting("agr_good"))
    await entry.admit("demo", EVE, token="agr_good", client=AWAY)
    free = await entry.refused("free")
    taken = await entry.refused("demo")
    invalid = await entry.refused("no slug!")
    assert {error.code for error in (free, taken, invalid)} == {"slug_forbidden"}
    assert free.message == taken.message == invalid.message
    assert "agr_" not in free.message
    assert (await entry.refused("free")).code == "rate_limited"


async def test_guesses_of_a_token_are_few() -> None:
    asked = []

    async def check(token: str) -> bool:
        await trio.lowlevel.checkpoint()
        asked.append(token)
        return False

    entry = Entry(check)
    for number in range(100):
        await entry.refused("demo", token=f"agr_{number}")
    assert len(asked) == 3


async def test_an_owner_who_comes_back_needs_its_token_as_well() -> None:
    good = {"agr_good"}

    async def check(token: str) -> bool:
        await trio.lowlevel.checkpoint()
        return token in good

    entry = Entry(check)
    await entry.admit("demo", token="agr_good")
    await entry.admit("demo", token="agr_good")
    good.clear()
    assert (await entry.refused("demo", token="agr_good")).code == "slug_forbidden"


# --- An owner's return ----------------------------------------------------------------------
@pytest.mark.hostile("W06")
async def test_after_a_fault_the_owner_stays_away_and_then_is_let_in(
    autojump_clock: MockClock,
) -> None:
    entry = Entry()
    route = await entry.admit("demo")
    entry.gate.pause(route)
    refusal = await entry.refused("demo")
    assert (refusal.code, refusal.retry_after) == ("rate_limited", FAULT_PAUSE_SECONDS)
    # That it comes too early does it no harm, and neither does it anybody else.
    await trio.sleep(FAULT_PAUSE_SECONDS - 0.1)
    assert (await entry.refused("demo", client=AWAY)).retry_after == 1
    await entry.admit("other")
    await trio.sleep(0.1)
    assert await entry.admit("demo") is route


@pytest.mark.hostile("W06")
async def test_a_pause_outlives_the_route(autojump_clock: MockClock) -> None:
    """Giving a route up and claiming it again is no new start."""
    entry = Entry()
    route = await entry.admit("demo")
    entry.gate.pause(route)
    entry.routes.close(route)
    assert (await entry.refused("demo")).code == "rate_limited"
    await trio.sleep(FAULT_PAUSE_SECONDS)
    assert await entry.admit("demo") is not route


@pytest.mark.hostile("W06")
async def test_returns_are_counted_beyond_the_route(autojump_clock: MockClock) -> None:
    entry = Entry()
    for _ in range(RETURNS_PER_WINDOW + 1):
        entry.routes.close(await entry.admit("demo"))
    assert (await entry.refused("demo")).code == "rate_limited"


async def test_pauses_that_are_over_are_forgotten(autojump_clock: MockClock) -> None:
    quota = ReturnQuota()
    for number in range(1000):
        quota.pause(f"<{number}>", trio.current_time())
        await trio.sleep(FAULT_PAUSE_SECONDS / 4)
    assert len(quota) == 4


async def test_the_pause_of_a_route_tells_a_stranger_nothing() -> None:
    entry = Entry()
    entry.gate.pause(await entry.admit("demo"))
    assert (await entry.refused("demo", EVE, client=AWAY)).code == "route_slug_taken"


@pytest.mark.hostile("W06")
async def test_an_owner_comes_back_so_often_in_a_minute_and_no_more(
    autojump_clock: MockClock,
) -> None:
    entry = Entry()
    await entry.admit("demo")
    for _ in range(RETURNS_PER_WINDOW):
        await entry.admit("demo")
    refusal = await entry.refused("demo", client=AWAY)
    assert refusal.code == "rate_limited"
    assert refusal.retry_after is not None
    assert 1 <= refusal.retry_after <= RATE_WINDOW_SECONDS + 1
    await entry.admit("other")
    await trio.sleep(refusal.retry_after)
    await entry.admit("demo")


async def test_a_network_that_breaks_once_a_second_keeps_nobody_away(
    autojump_clock: MockClock,
) -> None:
    entry = Entry()
    for _ in range(600):
        await entry.admit("demo")
        await trio.sleep(1)


# --- What the access log is told ----------------------------------------------------------
async def test_each_registration_is_noted_with_what_came_of_it() -> None:
    entry = Entry()
    await entry.admit("demo")
    await entry.admit("demo")
    await entry.refused("demo", EVE, client=AWAY)
    entry.gate.count_failure(AWAY, Rejected("slug_forbidden"))  # before any slug was claimed
    assert entry.noted == [
        ("demo", None),
        ("demo", None),
        ("demo", "route_slug_taken"),
        ("", "slug_forbidden"),
    ]


async def test_one_address_has_so_many_lines_an_hour_whatever_it_tries(
    autojump_clock: MockClock,
) -> None:
    """A line costs the operator's disk, and a refusal costs its client nothing."""
    entry = Entry()
    most = NOTES_PER_REGISTRATION * 3
    await entry.admit("demo")
    for _ in range(20):
        await entry.admit("demo")  # an owner's return is free
    for number in range(100):
        await entry.refused(f"no slug {number}!")
    assert len(entry.noted) == most
    assert len(entry.counted) == 121
    await entry.admit("other", EVE, client=AWAY)
    assert len(entry.noted) == most + 1
    await trio.sleep(REGISTRATION_WINDOW_SECONDS + 61)
    await entry.admit("more")
    assert entry.noted[-1] == ("more", None)
