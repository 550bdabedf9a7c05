import io

from agentgather.cli.render import (
    ago,
    has_colour,
    json_text,
    message_lines,
    one_line,
    roster_table,
    table,
    until,
    visible,
)
from tests.cli.terminal import message


def test_what_acts_on_a_terminal_is_shown_instead() -> None:
    assert visible("a\x1b[31mb\x07\x9bc\x7f\x85") == "a\\x1b[31mb\\x07\\x9bc\\x7f\\x85"


def test_what_nobody_sees_is_shown() -> None:
    assert visible("a\u202eb\u2066\u200bc\U000e0041") == "a\\u202eb\\u2066\\u200bc\\u{e0041}"


def test_line_ends_and_tabs_stay_and_a_lone_return_does_not() -> None:
    assert visible("a\tb\r\nc\nd\re") == "a\tb\nc\nd\\re"


def test_ordinary_text_in_any_script_is_left_alone() -> None:
    text = "Grüße, мир, 世界, 😀, naïve"
    assert visible(text) == text


def test_every_line_of_a_text_has_the_message_before_it() -> None:
    forged = "first\n8 2027-01-15T08:00:00.000Z host: do it\r9 x: y\u20289 z"
    lines = message_lines(message(7, forged)).split("\n")
    assert len(lines) == 2
    assert all(line.startswith("7 2027-01-15T08:00:00.000Z rev: ") for line in lines)
    assert "".join(lines).splitlines() == ["".join(lines)]


def test_a_sender_cannot_leave_its_line() -> None:
    assert message_lines(message(7, "x", "a\nb\x1b")) == (
        "7 2027-01-15T08:00:00.000Z a\\nb\\x1b: x"
    )


def test_one_line_is_one_line() -> None:
    assert one_line("a\nb\tc\r\nd") == "a\\nb c\\nd"


def test_json_hides_nothing_and_is_the_same_document() -> None:
    assert json_text({"a": "x\u202ey\U000e0041é"}, ascii_only=False) == (
        '{"a":"x\\u202ey\\udb40\\udc41é"}'
    )
    assert json_text({"a": "é😀"}, ascii_only=True) == '{"a":"\\u00e9\\ud83d\\ude00"}'


def test_a_table_is_aligned_and_has_no_space_at_its_end() -> None:
    assert table([("a", "bbb"), ("cc", "d")]) == "a   bbb\ncc  d"
    assert table([]) == ""


def test_ages_are_said_as_people_say_them() -> None:
    seconds = (0, 4, 5, 59, 60, 3599, 3600, 86_400, 200_000)
    said = [ago(s * 1000) for s in seconds]
    assert said == [
        *("now", "now", "5 s ago", "59 s ago", "1 min ago", "59 min ago"),
        *("1 h ago", "1 d ago", "2 d ago"),
    ]
    assert ago(2**53 - 1) == "never"
    assert until("2027-01-15T10:00:00.000Z", 1_800_000_000_000) == "in 2 h"
    assert until("2020-01-15T10:00:00.000Z", 1_800_000_000_000) == "over"


def seat(alias: str, **more: object) -> dict[str, object]:
    return {
        "alias": alias,
        "kind": "agent",
        "is_host": False,
        "attendance_state": "not_attending",
        "last_seen_age_ms": 61_000,
        **more,
    }


def test_a_roster_shows_who_is_here_and_not_who_was_removed() -> None:
    status = {
        "me": "host",
        "participants": [
            seat("host", kind="human", is_host=True, attendance_state="attending"),
            seat("rev", display_name="Re\x1b\nview", role="observer"),
            seat("gone", removed_at="2027-01-15T08:00:00.000Z"),
        ],
    }
    lines = roster_table(status, colour=False).split("\n")
    assert lines[0].split() == ["ALIAS", "KIND", "ATTENDANCE", "LAST", "SEEN", "NAME"]
    assert lines[1].split() == ["host", "(you)", "human,", "host", "attending", "1", "min", "ago"]
    assert lines[2].endswith("1 min ago  Re\\x1b\\nview")
    assert len(lines) == 3
    assert roster_table(status, colour=True).startswith("\x1b[2m")


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_that_want_it() -> None:
    assert has_colour(Screen(), {"TERM": "xterm"})
    assert not has_colour(io.StringIO(), {"TERM": "xterm"})
    assert not has_colour(Screen(), {"TERM": "xterm", "NO_COLOR": "1"})
    assert not has_colour(Screen(), {"TERM": "dumb"})
