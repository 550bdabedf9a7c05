"""Whose a slug is: through crashes, sleep, other hosts, and clocks that are set."""

import pytest
import trio
from trio.testing import MockClock

from agentgather.broker.leases import Lease, Terms
from agentgather.broker.route import REMEMBERED_SECONDS, Status
from agentgather.broker.routes import Routes
from agentgather.wire.errors import Rejected, Unavailable

ADA, EVE = b"a" * 32, b"e" * 32
TERMS = Terms(idle_seconds=900, lifetime_seconds=28_800, per_client=5, in_all=100)


class Disk:
    """Leases that outlive a broker, unless it is full."""

    def __init__(self) -> None:
        self.leases: dict[str, bytes] = {}
        self.is_full = False
        self.gate: trio.Event | None = None
        self.writes = 0

    async def keep(self, slug_hash: str, owner: bytes) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.is_full:
            raise Unavailable("storage_full", retry_after=60)
        self.writes += 1
        self.leases[slug_hash] = owner

    async def drop(self, slug_hash: str) -> None:
        self.leases.pop(slug_hash, None)


class SomeHost:
    """A host that is there until it is let go."""

    def __init__(self) -> None:
        self.ended: str | None = None

    async def open(self, **_asked: object) -> None:  # type: ignore[override]
        raise AssertionError("nobody asks it")

    def end(self, code: str) -> None:
        self.ended = code


def hash_of(slug: str) -> str:
    return f"<{slug}>"


def routes_on(disk: Disk, *, terms: Terms = TERMS, known: dict[str, Lease] | None = None) -> Routes:
    return Routes(disk, hash_of, terms=terms, known=known or {})


async def refusal_of(routes: Routes, slug: str, owner: bytes, client: str = "192.0.2.1") -> str:
    with pytest.raises(Rejected) as caught:
        await routes.claim(slug, owner, client)
    return caught.value.code


def finding(routes: Routes, slug: str) -> str:
    try:
        routes.find(slug)
    except Rejected as error:
        return error.code
    return "active"


async def test_a_slug_is_its_first_owners() -> None:
    disk = Disk()
    routes = routes_on(disk)
    route = await routes.claim("demo", ADA, "192.0.2.1")
    assert disk.leases == {"<demo>": ADA}
    assert await refusal_of(routes, "demo", EVE) == "route_slug_taken"
    assert await routes.claim("demo", ADA, "192.0.2.1") is route
    assert disk.writes == 1, "an owner who comes back costs the disk nothing"


async def test_a_claim_is_told_of_only_when_it_is_durable() -> None:
    disk = Disk()
    disk.gate = trio.Event()
    routes = routes_on(disk)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(routes.claim, "demo", ADA, "192.0.2.1")
        await trio.testing.wait_all_tasks_blocked()
        # It is decided already: nobody can slip in while the disk writes.
        disk.gate, gate = None, disk.gate
        assert await refusal_of(routes, "demo", EVE) == "route_slug_taken"
        assert disk.leases == {}
        gate.set()
    assert disk.leases == {"<demo>": ADA}


async def test_a_claim_that_the_disk_refuses_is_none() -> None:
    disk = Disk()
    disk.is_full = True
    routes = routes_on(disk)
    assert await refusal_of(routes, "demo", ADA) == "storage_full"
    disk.is_full = False
    await routes.claim("demo", EVE, "192.0.2.2")
    assert disk.leases == {"<demo>": EVE}


async def test_a_claim_that_is_cancelled_before_it_is_durable_is_none() -> None:
    disk = Disk()
    disk.gate = trio.Event()
    routes = routes_on(disk, terms=TERMS._replace(per_client=1))
    with trio.CancelScope() as scope:
        scope.cancel()
        await routes.claim("demo", ADA, "192.0.2.1")
    assert scope.cancelled_caught
    assert finding(routes, "demo") == "route_expired"
    disk.gate = None
    await routes.claim("demo", EVE, "192.0.2.2")
    await routes.claim("other", ADA, "192.0.2.1")
    assert disk.leases == {"<demo>": EVE, "<other>": ADA}


async def test_of_two_claims_of_one_owner_that_end_badly_the_other_counts() -> None:
    disk = Disk()
    disk.gate = trio.Event()
    routes = routes_on(disk, terms=TERMS._replace(per_client=1))
    async with trio.open_nursery() as nursery:
        first = trio.CancelScope()

        async def give_up() -> None:
            with first:
                await routes.claim("demo", ADA, "192.0.2.1")

        nursery.start_soon(give_up)
        nursery.start_soon(routes.claim, "demo", ADA, "192.0.2.1")
        await trio.testing.wait_all_tasks_blocked()
        first.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert finding(routes, "demo") == "active"
        disk.gate.set()
    assert disk.leases == {"<demo>": ADA}
    assert finding(routes, "demo") == "active"


async def test_two_claims_of_one_owner_that_the_disk_refuses_are_none() -> None:
    disk = Disk()
    disk.gate = trio.Event()
    disk.is_full = True
    routes = routes_on(disk, terms=TERMS._replace(per_client=1))
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(refusal_of, routes, "demo", ADA)
        await trio.testing.wait_all_tasks_blocked()
        disk.gate.set()
    disk.is_full = False
    await routes.claim("demo", EVE, "192.0.2.2")
    await routes.claim("other", ADA, "192.0.2.1")
    assert disk.leases == {"<demo>": EVE, "<other>": ADA}


async def test_the_newest_link_of_an_owner_answers() -> None:
    routes = routes_on(Disk())
    route = await routes.claim("demo", ADA, "192.0.2.1")
    first, second = SomeHost(), SomeHost()
    routes.attach(route, first)
    routes.attach(route, second)
    assert first.ended == "superseded"
    assert route.host is second
    routes.detach(route, first)
    assert route.host is second, "the old one's end says nothing of the new one"


async def test_a_route_whose_host_stays_away_expires(autojump_clock: MockClock) -> None:
    disk = Disk()
    routes = routes_on(disk)
    route = await routes.claim("demo", ADA, "192.0.2.1")
    host = SomeHost()
    routes.attach(route, host)
    await trio.sleep(5_000)
    assert finding(routes, "demo") == "active", "it is not idle while its host is there"
    routes.detach(route, host)
    await trio.sleep(899)
    assert finding(routes, "demo") == "active"
    assert await refusal_of(routes, "demo", EVE) == "route_slug_taken"
    await trio.sleep(1)
    assert finding(routes, "demo") == "route_expired"
    await routes.sweep()
    assert disk.leases == {}
    # Whoever comes first has it now.
    await routes.claim("demo", EVE, "192.0.2.2")
    assert finding(routes, "demo") == "active"
    assert disk.leases == {"<demo>": EVE}


async def test_a_route_ends_with_its_life_although_its_host_is_there(
    autojump_clock: MockClock,
) -> None:
    routes = routes_on(Disk())
    route = await routes.claim("demo", ADA, "192.0.2.1")
    host = SomeHost()
    routes.attach(route, host)
    await trio.sleep(28_799)
    await routes.sweep()
    assert host.ended is None
    await trio.sleep(1)
    await routes.sweep()
    assert host.ended == "route_expired"
    assert finding(routes, "demo") == "route_expired"


async def test_coming_back_does_not_make_a_life_longer(autojump_clock: MockClock) -> None:
    routes = routes_on(Disk())
    route = await routes.claim("demo", ADA, "192.0.2.1")
    routes.attach(route, SomeHost())
    await trio.sleep(20_000)
    assert await routes.claim("demo", ADA, "192.0.2.1") is route
    await trio.sleep(8_800)
    assert finding(routes, "demo") == "route_expired"


async def test_a_closed_route_stays_its_owners_for_a_while(autojump_clock: MockClock) -> None:
    disk = Disk()
    routes = routes_on(disk)
    route = await routes.claim("demo", ADA, "192.0.2.1")
    host = SomeHost()
    routes.attach(route, host)
    routes.close(route)
    assert host.ended == "route_closed"
    assert finding(routes, "demo") == "route_closed"
    assert await refusal_of(routes, "demo", EVE) == "route_slug_taken"
    assert (await routes.claim("demo", ADA, "192.0.2.1")).status is Status.ACTIVE
    routes.close(routes.find("demo"))
    await trio.sleep(900)
    await routes.sweep()
    assert disk.leases == {}
    await routes.claim("demo", EVE, "192.0.2.2")


async def test_a_route_that_is_long_over_is_as_if_it_never_was(autojump_clock: MockClock) -> None:
    routes = routes_on(Disk())
    await routes.claim("demo", ADA, "192.0.2.1")
    await trio.sleep(900)
    await routes.sweep()
    assert finding(routes, "demo") == "route_expired"
    await trio.sleep(REMEMBERED_SECONDS + 1)
    await routes.sweep()
    assert finding(routes, "demo") == "route_not_found"


class TestAfterARestart:
    @pytest.mark.hostile("T04")
    async def test_only_the_owner_gets_a_slug_back(self, autojump_clock: MockClock) -> None:
        disk = Disk()
        born = trio.current_time() - 1_000
        routes = routes_on(disk, known={"<demo>": Lease(ADA, born)})
        assert finding(routes, "demo") == "host_unavailable", "it is known, and its host away"
        assert finding(routes, "other") == "route_not_found"
        assert await refusal_of(routes, "demo", EVE) == "route_slug_taken"
        assert routes.is_owner("demo", ADA)
        route = await routes.claim("demo", ADA, "192.0.2.1")
        assert route.created == born, "a restart does not make a life longer"
        assert finding(routes, "demo") == "active"

    async def test_who_does_not_come_back_loses_it(self, autojump_clock: MockClock) -> None:
        disk = Disk()
        disk.leases["<demo>"] = ADA
        routes = routes_on(disk, known={"<demo>": Lease(ADA, trio.current_time())})
        await trio.sleep(900)
        await routes.sweep()
        assert disk.leases == {}
        assert finding(routes, "demo") == "route_not_found"
        await routes.claim("demo", EVE, "192.0.2.2")

    async def test_a_life_that_ended_meanwhile_has_ended(self, autojump_clock: MockClock) -> None:
        born = trio.current_time() - 28_000
        routes = routes_on(Disk(), known={"<demo>": Lease(ADA, born)})
        await trio.sleep(799)
        assert await refusal_of(routes, "demo", EVE) == "route_slug_taken"
        await trio.sleep(1)
        await routes.claim("demo", EVE, "192.0.2.2")


class TestBounds:
    @pytest.mark.hostile("B02")
    async def test_an_address_has_so_many_routes(self) -> None:
        routes = routes_on(Disk())
        for number in range(5):
            await routes.claim(f"room-{number}", ADA, "192.0.2.1")
        assert await refusal_of(routes, "room-5", ADA) == "rate_limited"
        await routes.claim("room-5", ADA, "192.0.2.2")
        # Its own it gets back, however many it has.
        await routes.claim("room-0", ADA, "192.0.2.1")

    async def test_a_host_that_moved_counts_where_it_is(self) -> None:
        routes = routes_on(Disk())
        for number in range(5):
            await routes.claim(f"room-{number}", ADA, "192.0.2.1")
        await routes.claim("room-0", ADA, "198.51.100.7")
        await routes.claim("room-5", ADA, "192.0.2.1")
        assert await refusal_of(routes, "room-6", ADA) == "rate_limited"

    async def test_an_expired_route_counts_no_more(self, autojump_clock: MockClock) -> None:
        routes = routes_on(Disk())
        for number in range(5):
            await routes.claim(f"room-{number}", ADA, "192.0.2.1")
        await trio.sleep(900)
        await routes.sweep()
        await routes.claim("room-5", ADA, "192.0.2.1")

    async def test_there_are_only_so_many_and_those_that_are_over_go_first(
        self, autojump_clock: MockClock
    ) -> None:
        routes = routes_on(Disk(), terms=TERMS._replace(in_all=10, per_client=100))
        for number in range(10):
            await routes.claim(f"room-{number}", ADA, "192.0.2.1")
        assert await refusal_of(routes, "room-10", ADA) == "overloaded"
        routes.close(routes.find("room-3"))
        await routes.claim("room-10", ADA, "192.0.2.1")
        assert finding(routes, "room-3") == "route_not_found"
        assert len(routes) == 10

    @pytest.mark.hostile("B07")
    @pytest.mark.parametrize("slug", ["_host", "api", "Demo", "a--b", "a" * 64, "", "xn--a-b"])
    async def test_a_slug_that_may_not_be_is_refused_before_all_else(self, slug: str) -> None:
        disk = Disk()
        assert await refusal_of(routes_on(disk), slug, ADA) == "invalid_registration"
        assert disk.leases == {}
