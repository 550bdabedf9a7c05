"""What may come is bounded for each stream and all in all, and what was taken comes back."""

import random

import pytest

from agentgather.link.ledger import Account, Ledger
from agentgather.wire.errors import PeerViolation
from agentgather.wire.limits import (
    MAX_ROUTE_BUFFER_BYTES,
    MAX_STREAMS,
    MAX_WINDOW_BYTES,
    RESPONSE_CREDIT_BYTES,
)

FIRST = RESPONSE_CREDIT_BYTES


def make_ledger(*, may_grow: bool = True) -> Ledger:
    return Ledger(FIRST, MAX_STREAMS, may_grow=may_grow)


def fill(ledger: Ledger, account: Account) -> int:
    size = account.window
    ledger.receive(account, size)
    return size


def take(ledger: Ledger, account: Account) -> int:
    return ledger.consume(account, account.buffered, is_ended=False)


def held(account: Account) -> int:
    return account.window + account.buffered


def test_the_first_credit_can_be_used_to_the_last_byte() -> None:
    ledger = make_ledger()
    account = ledger.open()
    ledger.receive(account, FIRST)
    assert (account.window, account.buffered) == (0, FIRST)


def test_one_byte_more_than_the_credit_ends_the_link() -> None:
    ledger = make_ledger()
    account = ledger.open()
    with pytest.raises(PeerViolation, match="flow_control"):
        ledger.receive(account, FIRST + 1)


def test_what_is_taken_comes_back_once_half_of_the_window_is_open() -> None:
    ledger = make_ledger(may_grow=False)
    account = ledger.open()
    ledger.receive(account, FIRST // 2 - 1)
    assert take(ledger, account) == 0
    ledger.receive(account, 1)
    assert take(ledger, account) == FIRST // 2
    assert held(account) == FIRST


def test_a_body_that_has_ended_gets_no_more_credit() -> None:
    ledger = make_ledger()
    account = ledger.open()
    size = fill(ledger, account)
    assert ledger.consume(account, size, is_ended=True) == 0


def test_a_window_grows_while_its_sender_runs_out_and_its_reader_keeps_up() -> None:
    ledger = make_ledger()
    account = ledger.open()
    windows = [account.window]
    for _ in range(4):
        fill(ledger, account)
        take(ledger, account)
        windows.append(account.window)
    assert windows == [16 * 1024, 64 * 1024, 256 * 1024, MAX_WINDOW_BYTES, MAX_WINDOW_BYTES]


def test_a_host_gives_no_more_than_the_first_credit() -> None:
    ledger = make_ledger(may_grow=False)
    account = ledger.open()
    for _ in range(5):
        fill(ledger, account)
        take(ledger, account)
        assert held(account) == FIRST
    assert ledger.extra == 0


def test_all_windows_together_stay_within_the_bound_and_none_below_the_first_credit() -> None:
    ledger = make_ledger()
    accounts = [ledger.open() for _ in range(MAX_STREAMS)]
    for _ in range(6):
        for account in accounts:
            fill(ledger, account)
            take(ledger, account)
    assert sum(map(held, accounts)) <= MAX_ROUTE_BUFFER_BYTES
    assert sum(map(held, accounts)) > MAX_ROUTE_BUFFER_BYTES - MAX_WINDOW_BYTES
    assert min(map(held, accounts)) == FIRST


def test_the_pool_is_whole_again_when_all_was_taken() -> None:
    ledger = make_ledger()
    account = ledger.open()
    for _ in range(4):
        fill(ledger, account)
        take(ledger, account)
    fill(ledger, account)
    ledger.close(account)
    assert ledger.extra == MAX_WINDOW_BYTES - FIRST, "it is buffered yet"
    assert take(ledger, account) == 0
    assert ledger.extra == 0


def test_a_closed_stream_may_still_send_what_it_had_credit_for() -> None:
    ledger = make_ledger()
    account = ledger.open()
    ledger.receive(account, 1000)
    ledger.close(account)
    ledger.receive_late(FIRST - 1000)
    with pytest.raises(PeerViolation, match="flow_control"):
        ledger.receive_late(1)


def test_a_stream_that_was_refused_at_once_may_still_send_its_first_credit() -> None:
    ledger = make_ledger(may_grow=False)
    ledger.forgive(FIRST)
    ledger.receive_late(FIRST)
    with pytest.raises(PeerViolation, match="flow_control"):
        ledger.receive_late(1)


@pytest.mark.parametrize("seed", range(20))
def test_random_days_keep_the_sums(seed: int) -> None:
    chance = random.Random(seed)
    ledger = make_ledger()
    accounts: list[Account] = []
    closed: list[Account] = []
    for _ in range(2_000):
        what = chance.random()
        if what < 0.1 and len(accounts) < MAX_STREAMS:
            accounts.append(ledger.open())
        elif accounts and what < 0.5:
            account = chance.choice(accounts)
            ledger.receive(account, chance.choice((account.window, account.window // 3)))
        elif accounts and what < 0.95:
            take(ledger, chance.choice(accounts))
        elif accounts:
            account = accounts.pop(chance.randrange(len(accounts)))
            ledger.close(account)
            closed.append(account)
        every = accounts + closed
        assert ledger.extra == sum(max(0, held(account) - FIRST) for account in every)
        assert ledger.extra <= MAX_ROUTE_BUFFER_BYTES - MAX_STREAMS * FIRST
        assert all(account.window >= 0 and account.buffered >= 0 for account in every)
    for account in accounts:
        ledger.close(account)
    for account in every:
        take(ledger, account)
    assert ledger.extra == 0
