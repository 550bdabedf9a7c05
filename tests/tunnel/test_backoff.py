"""The pauses between two attempts."""

import random

import pytest

from agentgather.tunnel.backoff import FIRST_SECONDS, LONGEST_SECONDS, Backoff


def pauses(seed: int, count: int) -> list[float]:
    chance = random.Random(seed)
    backoff = Backoff(chance.randbytes)
    return [backoff.next_seconds() for _ in range(count)]


@pytest.mark.hostile("T15")
@pytest.mark.parametrize("seed", range(20))
def test_pauses_grow_from_half_a_second_to_half_a_minute(seed: int) -> None:
    found = pauses(seed, 200)
    assert found[0] <= 3 * FIRST_SECONDS
    assert all(FIRST_SECONDS <= pause <= LONGEST_SECONDS for pause in found)
    assert all(
        after <= 3 * before for before, after in zip([FIRST_SECONDS, *found], found, strict=False)
    )
    assert max(found) > LONGEST_SECONDS / 2


def test_two_hosts_do_not_come_back_together() -> None:
    assert len({round(pauses(seed, 3)[-1], 3) for seed in range(100)}) > 90


def test_after_a_good_link_it_begins_anew() -> None:
    backoff = Backoff(lambda count: b"\xff" * count)
    assert [round(backoff.next_seconds(), 1) for _ in range(6)] == [1.5, 4.5, 13.5, 30, 30, 30]
    backoff.reset()
    assert round(backoff.next_seconds(), 1) == 1.5


def test_the_shortest_pause_is_not_none_at_all() -> None:
    backoff = Backoff(bytes)
    assert [backoff.next_seconds() for _ in range(3)] == [FIRST_SECONDS] * 3
