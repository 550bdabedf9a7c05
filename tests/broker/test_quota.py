"""How often somebody may ask a broker, and that nobody picks whom it counts for."""

import tracemalloc

import pytest

from agentgather.broker.quota import Quotas, RequestQuota, Trust
from agentgather.broker.registration_quota import RegistrationQuota
from agentgather.wire.errors import Unavailable
from agentgather.wire.limits import MAX_RATE_KEYS, MAX_TRUSTED, TRUST_SECONDS

TOKEN = b"Bearer agp_ada"
MIB = 1024 * 1024


def waiting(error: Unavailable) -> int:
    assert error.code == "rate_limited"
    assert error.retry_after is not None
    assert error.retry_after >= 1
    return error.retry_after


class Broker:
    """A quota, its trust, and what it refused."""

    def __init__(self, **changes: int) -> None:
        self.trust = Trust(b"k" * 32)
        self.refused: list[str] = []
        quotas = Quotas(**changes)
        self.quota = RequestQuota(quotas, self.trust, self.refused.append)
        self.registrations = RegistrationQuota(quotas, self.refused.append)

    def asks(
        self,
        client: str = "192.0.2.1",
        route: str | None = "room",
        credential: bytes | None = TOKEN,
        now: float = 0.0,
        *,
        is_page: bool = False,
        status: int | None = None,
    ) -> int:
        """Ask once; give the seconds to wait, 0 where it passed. ``status``: the host's answer."""
        try:
            self.quota.admit(client, route, credential, now, is_page=is_page)
        except Unavailable as error:
            return waiting(error)
        if status is not None and route is not None:
            self.trust.note(route, client, credential, status, now)
        return 0

    def passes(self, count: int, *given: object, **more: object) -> int:
        """Ask that often, and give how many passed."""
        return sum(self.asks(*given, **more) == 0 for _ in range(count))  # type: ignore[arg-type]


@pytest.fixture
def broker() -> Broker:
    return Broker()


# --- Strangers ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("route", "credential"), [("room", None), ("room", TOKEN), (None, None), (None, TOKEN)]
)
def test_a_stranger_has_60_requests_a_minute(
    broker: Broker, route: str | None, credential: bytes | None
) -> None:
    assert broker.passes(300, route=route, credential=credential) == 60
    assert broker.asks(route=route, credential=credential, now=61.0) == 0
    assert broker.refused == ["client"] * 240


@pytest.mark.hostile("R04")
def test_a_client_does_not_use_up_another_s_share(broker: Broker) -> None:
    assert broker.passes(100, "192.0.2.1", is_page=True) == 60
    assert broker.passes(100, "192.0.2.2", is_page=True) == 60


@pytest.mark.hostile("R09")
def test_credentials_and_slugs_that_are_made_up_count_for_who_makes_them_up(
    broker: Broker,
) -> None:
    passed = sum(broker.asks(credential=b"Bearer %d" % number) == 0 for number in range(100))
    assert passed == 60
    assert broker.passes(10, route=None) == 0
    assert broker.passes(10, route="other room") == 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429, 500, 502, 504])
def test_a_credential_that_the_host_does_not_accept_is_a_stranger_s(
    broker: Broker, status: int
) -> None:
    assert broker.passes(100, status=status) == 60


def test_what_is_refused_does_not_count(broker: Broker) -> None:
    for second in range(60):
        broker.passes(10, now=float(second))
    assert broker.passes(10, now=61.0) == 10


# --- Trust ----------------------------------------------------------------------------------
def test_a_credential_that_the_host_accepts_counts_for_the_route(broker: Broker) -> None:
    assert broker.passes(650, status=200) == 600
    assert set(broker.refused) == {"route"}
    assert broker.asks("192.0.2.2", "room") > 0
    assert broker.asks("192.0.2.2", "other room") == 0


def test_a_participant_s_second_address_is_no_stranger(broker: Broker) -> None:
    broker.asks("192.0.2.1", status=200)
    assert broker.passes(100, "192.0.2.2") == 100


def test_a_credential_is_accepted_for_its_own_room_only(broker: Broker) -> None:
    broker.asks(route="room", status=200)
    assert broker.passes(100, route="other room") == 59


def test_a_credential_that_is_refused_later_is_a_stranger_s_again(broker: Broker) -> None:
    for status in (401, 403, 410):
        broker = Broker()
        broker.asks(status=200)
        broker.asks(status=status)
        assert broker.passes(100) == 59, status


def test_an_error_of_the_host_s_takes_no_trust_away(broker: Broker) -> None:
    broker.asks(status=200)
    for status in (400, 404, 409, 413, 429, 500, 502, 503, 504):
        broker.asks(status=status)
    assert broker.passes(100) == 100


def test_a_participant_s_browser_loads_the_page_as_no_stranger(broker: Broker) -> None:
    assert broker.passes(40, credential=None, is_page=True) == 40
    broker.asks(status=200)
    assert broker.passes(100, credential=None, is_page=True) == 100
    assert broker.passes(100, "192.0.2.2", credential=None, is_page=True) == 60
    assert broker.passes(100, route="other room", credential=None, is_page=True) == 19


def test_junk_in_the_header_opens_neither_page_nor_anything_else(broker: Broker) -> None:
    junk = b"Bearer junk"
    assert broker.passes(100, credential=junk, is_page=True, status=None) == 60


def test_without_a_credential_only_the_page_is_trusted(broker: Broker) -> None:
    broker.asks(status=200)
    assert broker.passes(100, credential=None) == 59


def test_an_answer_without_a_credential_makes_nobody_trusted(broker: Broker) -> None:
    assert broker.passes(100, credential=None, status=200) == 60
    assert len(broker.trust) == 0


def test_trust_that_is_used_lasts_and_that_is_unused_ends(broker: Broker) -> None:
    broker.asks(status=200)
    for turn in range(1, 4):
        now = turn * (TRUST_SECONDS - 1.0)
        assert broker.passes(61, now=now) == 61
    assert broker.passes(100, now=now + TRUST_SECONDS) == 60


def test_trust_that_is_unused_takes_no_room_from_what_is_new(broker: Broker) -> None:
    for number in range(100):
        broker.asks(f"192.0.2.{number}", credential=b"Bearer %d" % number, status=200)
    assert len(broker.trust) == 200
    for number in range(100):
        broker.asks("198.51.100.1", now=TRUST_SECONDS + number, status=200)
    assert len(broker.trust) == 2


@pytest.mark.hostile("B19")
def test_the_credential_itself_is_kept_nowhere() -> None:
    trust = Trust(b"k" * 32)
    trust.note("room", "192.0.2.1", b"Bearer secret", 200, 0.0)
    assert b"secret" not in repr(vars(trust)).encode()
    tags = set(trust._used_at)
    other = Trust(b"j" * 32)
    other.note("room", "192.0.2.1", b"Bearer secret", 200, 0.0)
    assert not tags & set(other._used_at)


# --- Routes ---------------------------------------------------------------------------------
@pytest.mark.hostile("R04")
def test_strangers_cannot_use_up_a_route(broker: Broker) -> None:
    broker.asks("198.51.100.1", status=200)
    passed = sum(broker.passes(60, f"192.0.2.{number}", credential=None) for number in range(1, 20))
    assert passed == 299
    assert set(broker.refused) == {"strangers"}
    assert broker.passes(400, "198.51.100.1") == 300
    assert broker.refused[-1] == "route"
    assert broker.passes(60, "192.0.2.200", route="other room") == 60


def test_the_limits_are_the_operator_s() -> None:
    broker = Broker(client_requests=3, route_requests=8, registrations_per_client=2)
    assert broker.passes(10, credential=None) == 3
    broker.asks("192.0.2.2", status=200)
    assert broker.passes(20, "192.0.2.2") == 4
    broker.registrations.record("192.0.2.1", 0.0)
    broker.registrations.check("192.0.2.1", 0.0)
    broker.registrations.record("192.0.2.1", 0.0)
    with pytest.raises(Unavailable):
        broker.registrations.check("192.0.2.1", 0.0)


# --- Registrations ----------------------------------------------------------------------------
def test_a_client_registers_20_slugs_an_hour(broker: Broker) -> None:
    for second in range(20):
        broker.registrations.check("192.0.2.1", float(second))
        broker.registrations.record("192.0.2.1", float(second))
    with pytest.raises(Unavailable) as refused:
        broker.registrations.check("192.0.2.1", 100.0)
    assert refused.value.code == "rate_limited"
    assert refused.value.retry_after is not None
    assert 3400 < refused.value.retry_after <= 3660
    assert broker.refused == ["registration"]
    broker.registrations.check("192.0.2.2", 100.0)
    broker.registrations.check("192.0.2.1", 100.0 + refused.value.retry_after)


# --- A flood ------------------------------------------------------------------------------------
@pytest.mark.hostile("R04")
@pytest.mark.slow
def test_a_flood_of_addresses_slugs_and_credentials_costs_little(broker: Broker) -> None:
    lifted = Broker(client_requests=10**9, route_requests=10**9, registrations_per_client=10**9)
    tracemalloc.start()
    try:
        for number in range(100_000):
            client, route = f"2001:db8:{number:x}::/64", f"route_{number:024x}"
            lifted.asks(client, route, b"Bearer agp_%d" % number, number / 1000, status=200)
            lifted.asks(client, None, None, number / 1000)
            lifted.asks(client, route + "x", None, number / 1000, is_page=True)
            lifted.registrations.record(client, number / 1000)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    windows = (
        *(lifted.quota._by_client, lifted.quota._by_route, lifted.quota._of_strangers),
        lifted.registrations._by_client,
    )
    assert [len(window) for window in windows] == [MAX_RATE_KEYS] * 4
    assert len(lifted.trust) == MAX_TRUSTED
    assert size < 50 * MIB, f"{size / MIB:.1f} MiB"
