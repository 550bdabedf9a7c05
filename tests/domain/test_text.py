import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgather.domain.text import (
    Moment,
    format_time,
    has_hidden,
    is_blank,
    parse_time,
    utf16_units,
)


@given(st.text())
def test_units_are_those_that_javascript_counts(text: str) -> None:
    assert utf16_units(text) == len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize(
    ("text", "units"), [("", 0), ("aé", 2), ("😀", 2), ("\uffff", 1), ("🏳️‍🌈", 6)]
)
def test_a_character_beyond_the_first_plane_counts_twice(text: str, units: int) -> None:
    assert utf16_units(text) == units


@pytest.mark.parametrize(
    ("wall_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (-86_400_000, "1969-12-31T00:00:00.000Z"),
        (2**31 * 1000, "2038-01-19T03:14:08.000Z"),
        (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_has_milliseconds_and_a_z(wall_ms: int, text: str) -> None:
    assert format_time(wall_ms) == text
    assert Moment(0, wall_ms).text() == text
    assert parse_time(text) == wall_ms


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_a_time_is_read_back_to_the_millisecond(wall_ms: int) -> None:
    assert parse_time(format_time(wall_ms)) == wall_ms


@given(st.integers(0, 4_000_000_000_000), st.integers(0, 4_000_000_000_000))
def test_times_sort_as_their_texts_do(one: int, other: int) -> None:
    assert (one < other) == (format_time(one) < format_time(other))


@pytest.mark.parametrize(
    ("text", "wall_ms"),
    [
        ("2026-01-02T03:04:05Z", 1_767_323_045_000),
        ("2026-01-02T03:04:05.678Z", 1_767_323_045_678),
        ("2026-01-02T04:04:05.678+01:00", 1_767_323_045_678),
    ],
)
def test_a_time_with_another_zone_or_precision_is_read(text: str, wall_ms: int) -> None:
    assert parse_time(text) == wall_ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-02",
        "2026-01-02T03:04:05",
        "1767323045678",
    ],
)
def test_what_is_no_time_with_a_zone_is_none(text: str) -> None:
    assert parse_time(text) is None


@given(st.text())
def test_no_text_makes_the_reading_of_a_time_fail(text: str) -> None:
    parse_time(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999-23:59"])
def test_a_time_at_the_edge_of_the_calendar_does_not_make_its_reading_fail(text: str) -> None:
    parse_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " \n\t\r",
        "\xa0",
        "\u3000",
        "\ufeff",
        "\u200b\u2060",
        "\x00",
        "\x1f",
        " \xa0\u200b\xa0 ",
        "\u200b\u3000\ufeff\u3000\u200b",
        "\u2028\u200b\u2029\x00\n",
    ],
)
def test_a_text_with_nothing_to_read_in_it_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", " . ", "\u200bа", "😀", "\n-\n", "0"])
def test_a_text_with_one_visible_character_is_not_blank(text: str) -> None:
    assert not is_blank(text)


@pytest.mark.hostile("U05")
@pytest.mark.parametrize(
    "hidden",
    [
        "\x00",
        "\x1b[2J",
        "\x7f",
        "\x85",
        "\x9b",
        "\u00ad",
        "\u034f",
        "\u061c",
        "\u200b",
        "\u200e",
        "\u2028",
        "\u2029",
        "\u202e",
        "\u2060",
        "\u2066",
        "\u3164",
        "\ufe00",
        "\ufeff",
        "\ufffb",
        "\U000e0001",
        "\U000e0061\U000e007f",
        "\U000e01ef",
    ],
)
def test_characters_that_a_reader_cannot_see_are_told(hidden: str) -> None:
    assert has_hidden(hidden)
    assert has_hidden(f"plain {hidden} words")
    assert has_hidden(f"grüße {hidden} 😀")


@pytest.mark.parametrize(
    "text", ["", "plain", "two\nlines\r\n\tindented", "grüße 😀 ❤\ufe0f", "日本語 العربية"]
)
def test_a_text_that_shows_all_it_holds_is_not_marked(text: str) -> None:
    assert not has_hidden(text)
