"""Bounds that hold only together."""

from agentgather.wire import limits


def test_the_greatest_text_fits_a_body_in_every_script_but_the_worst() -> None:
    ascii_body = limits.MAX_TEXT_UNITS + len('{"text":""}')
    assert ascii_body < limits.MAX_BODY_BYTES
    assert limits.MAX_TEXT_UNITS * 2 + len('{"text":""}') < limits.MAX_BODY_BYTES


def test_a_page_is_far_below_what_a_relay_buffers() -> None:
    one_message = limits.MAX_BODY_BYTES * 6
    assert max(limits.MAX_PAGE_BYTES, one_message) < 1024 * 1024


def test_a_line_of_the_log_holds_the_greatest_message() -> None:
    assert limits.MAX_TEXT_UNITS * 6 + 4096 < limits.MAX_LOG_LINE_BYTES


def test_waits_are_fewer_than_connections() -> None:
    assert limits.MAX_WAITS < limits.MAX_CONNECTIONS
    assert limits.MAX_WAITS_PER_PARTICIPANT * 2 < limits.MAX_WAITS


def test_a_stream_says_something_before_a_common_proxy_gives_up() -> None:
    assert limits.HEARTBEAT_SECONDS < limits.HOLD_SECONDS < 30
    assert limits.STALE_AFTER_MS > 3 * limits.HOLD_SECONDS * 1000


def test_a_query_s_integer_is_one_that_every_reader_holds() -> None:
    assert 10**limits.MAX_QUERY_INTEGER_DIGITS - 1 < 2**53


def test_the_figures_of_the_contract() -> None:
    assert limits.MAX_BODY_BYTES == 65_536
    assert limits.MAX_TEXT_UNITS == 24_000
    assert limits.MAX_BRIEF_UNITS == 16_000
    assert limits.MAX_PAGE_MESSAGES == 500
    assert limits.MAX_PAGE_BYTES == 262_144
    assert limits.HOLD_SECONDS == 25
    assert limits.STALE_AFTER_MS == 90_000
    assert limits.POSTS_PER_WINDOW == 120
    assert limits.WRITES_PER_WINDOW == 30
    assert limits.BRIEFS_PER_WINDOW == 20
    assert limits.CLOSES_PER_WINDOW == 10
    assert limits.JOINS_PER_WINDOW == 60
    assert limits.LOOP_GUARD_POSTS == 30
    assert limits.MAX_LOG_MESSAGES == 50_000
    assert limits.MAX_WAITS_PER_PARTICIPANT == 4
