from itertools import product

import pytest

from agentgather.domain.attendance import POLICY_MEANINGS, Presence, is_required
from agentgather.domain.text import Moment
from agentgather.wire.limits import STALE_AFTER_MS
from agentgather.wire.names import ATTENDANCE_POLICIES, KINDS, AttendancePolicy, Kind
from agentgather.wire.records import Participant

START_MS = 1_767_323_045_000


def at(seconds: float) -> Moment:
    return Moment(1_000 + seconds, START_MS + round(seconds * 1000))


REQUIRED = {
    ("manual-ok", "agent"): False,
    ("manual-ok", "human"): False,
    ("agents-foreground", "agent"): True,
    ("agents-foreground", "human"): False,
    ("all-foreground", "agent"): True,
    ("all-foreground", "human"): True,
    ("host-directed", "agent"): False,
    ("host-directed", "human"): False,
}

# By attention, then: whether it is required, whether it was silent for long.
STATES = {
    "attending": {
        (False, False): "attending",
        (False, True): "stale",
        (True, False): "attending",
        (True, True): "stale",
    },
    "managed": {
        (False, False): "managed",
        (False, True): "stale",
        (True, False): "managed",
        (True, True): "stale",
    },
    "manual": {
        (False, False): "manual",
        (False, True): "manual",
        (True, False): "not_attending",
        (True, True): "not_attending",
    },
    "away": {
        (False, False): "away",
        (False, True): "away",
        (True, False): "not_attending",
        (True, True): "not_attending",
    },
}


@pytest.mark.parametrize(("policy", "kind"), list(product(ATTENDANCE_POLICIES, KINDS)))
def test_a_policy_asks_those_whom_it_names_to_stay(policy: AttendancePolicy, kind: Kind) -> None:
    required = REQUIRED[policy, kind]
    assert is_required(Participant(alias="ada", kind=kind), policy) is required
    observer = Participant(alias="ada", kind=kind, role="observer")
    removed = Participant(alias="ada", kind=kind, removed_at="2026-01-01T00:00:00.000Z")
    assert not is_required(observer, policy)
    assert not is_required(removed, policy)
    assert POLICY_MEANINGS[policy]


@pytest.mark.parametrize(
    ("attention", "policy", "kind", "silent"),
    list(product(STATES, ATTENDANCE_POLICIES, KINDS, [False, True])),
)
def test_a_state_follows_from_policy_attention_and_silence(
    attention: str, policy: AttendancePolicy, kind: Kind, *, silent: bool
) -> None:
    seat = Participant(alias="ada", kind=kind)
    presence = Presence(at(0), [seat])
    presence.seen("ada", at(0), attention=attention)
    later = at(STALE_AFTER_MS / 1000 + (0.001 if silent else 0))
    public = presence.public(seat, policy, later)
    required = REQUIRED[policy, kind]
    assert public.attendance_state == STATES[attention][required, silent]
    assert public.attendance_required is required
    assert public.attention == attention
    assert public.stale_after_ms == STALE_AFTER_MS
    assert public.last_seen_age_ms == STALE_AFTER_MS + silent
    assert public.lastSeenAt == at(0).text()


def test_a_held_wait_is_a_sign_of_life_for_as_long_as_it_is_held() -> None:
    seat = Participant(alias="ada")
    presence = Presence(at(0), [seat])
    presence.seen("ada", at(0), attention="attending")
    presence.hold("ada", at(0))
    presence.hold("ada", at(0))
    assert presence.held("ada") == 2
    assert presence.age_ms("ada", at(500)) == 0
    presence.release("ada", at(600))
    assert presence.age_ms("ada", at(700)) == 0
    presence.release("ada", at(700))
    assert presence.held("ada") == 0
    assert presence.age_ms("ada", at(701)) == 1_000
    assert presence.last_seen_text(seat) == at(700).text()


def test_who_never_acted_has_no_age_and_attends_by_hand() -> None:
    seat = Participant(alias="ada")
    presence = Presence(at(0), [seat])
    public = presence.public(seat, "manual-ok", at(5))
    assert public.last_seen_age_ms == 2**53 - 1
    assert public.lastSeenAt == ""
    assert public.attendance_state == "manual"


def test_who_was_seen_before_a_restart_has_the_age_that_its_file_tells() -> None:
    seat = Participant(alias="ada", attention="attending", lastSeenAt=at(-30).text())
    presence = Presence(at(0), [seat])
    assert presence.age_ms("ada", at(0)) == 30_000
    assert presence.public(seat, "manual-ok", at(0)).attendance_state == "attending"
    assert presence.public(seat, "manual-ok", at(61)).attendance_state == "stale"


@pytest.mark.hostile("K05")
@pytest.mark.parametrize(
    "last_seen", ["", "yesterday", "1970-01-01T00:00:00.000Z", "2999-01-01T00:00:00.000Z"]
)
def test_no_time_in_a_file_makes_a_negative_age(last_seen: str) -> None:
    seat = Participant(alias="ada", lastSeenAt=last_seen)
    presence = Presence(at(0), [seat])
    assert presence.age_ms("ada", at(0)) >= 0


@pytest.mark.hostile("K05")
def test_a_wall_clock_that_steps_changes_no_age() -> None:
    seat = Participant(alias="ada")
    presence = Presence(at(0), [seat])
    presence.seen("ada", at(0))
    for wall_ms in (0, START_MS - 3_600_000, START_MS + 3_600_000, 2**31 * 1000):
        assert presence.age_ms("ada", Moment(1_007, wall_ms)) == 7_000


@pytest.mark.hostile("K05")
def test_a_clock_that_goes_back_makes_no_negative_age() -> None:
    presence = Presence(at(0), [])
    presence.seen("ada", at(10))
    assert presence.age_ms("ada", at(5)) == 0


def test_a_public_seat_holds_no_hash_of_a_token() -> None:
    seat = Participant(alias="ada", token_hash="5ec2e7")
    assert "5ec2e7" not in repr(Presence(at(0), [seat]).public(seat, "manual-ok", at(0)))
