"""Whom a text names. The reference says it character by character, in no hurry."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgather.domain.mentions import parse_mentions
from agentgather.wire.limits import MAX_TEXT_UNITS

ROSTER = frozenset({"ada", "operator", "rev", "rev-2", "a", "0"})
WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
SLUG = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def reference(text: str, roster: frozenset[str]) -> tuple[str, ...]:
    """Blank the code out with spaces that keep every place, then look at each ``@``."""
    shown = blank_spans(blank_fences(text))
    found: list[str] = []
    for place, character in enumerate(shown):
        if character != "@" or (place > 0 and shown[place - 1] in WORD):
            continue
        alias = ""
        for following in shown[place + 1 :]:
            if following not in SLUG:
                break
            alias += following
        if alias in roster and alias not in found:
            found.append(alias)
    return tuple(found)


def blank_fences(text: str) -> str:
    lines = []
    fence = ""
    for line in text.split("\n"):
        stripped = line.lstrip(" ")
        indent = len(line) - len(stripped)
        mark = stripped[:1]
        run = len(stripped) - len(stripped.lstrip(mark)) if mark in ("`", "~") and mark else 0
        rest = stripped[run:]
        if fence:
            closes = indent <= 3 and mark == fence[0] and run >= len(fence)
            if closes and not rest.strip(" \t\r"):
                fence = ""
            lines.append("")
        elif indent <= 3 and run >= 3 and not (mark == "`" and "`" in rest):
            fence = mark * run
            lines.append("")
        else:
            lines.append(line)
    return "\n".join(lines)


def blank_spans(text: str) -> str:
    # A span ends within its paragraph.
    paragraphs = re.split(r"(\n\s*\n)", text)
    for number, paragraph in enumerate(paragraphs):
        shown = list(paragraph)
        place = 0
        while place < len(paragraph):
            run = len(paragraph) - place - len(paragraph[place:].lstrip("`"))
            if not run:
                place += 1
                continue
            end = place + run
            while end < len(paragraph):
                closing = len(paragraph) - end - len(paragraph[end:].lstrip("`"))
                if closing == run:
                    break
                end += max(1, closing)
            if end >= len(paragraph):
                place += run
                continue
            shown[place : end + run] = " " * (end + run - place)
            place = end + run
        paragraphs[number] = "".join(shown)
    return "".join(paragraphs)


PIECES = st.sampled_from(
    [
        "@",
        "@ada",
        "@rev",
        "@rev-2",
        "@operator",
        "ada",
        "-",
        "_",
        ".",
        "`",
        "``",
        "```",
        "````",
        "~~~",
        "~~~~",
        "\n",
        "\n\n",
        " ",
        "    ",
        "\t",
        "é",
        "о",
        "😀",
        "A",
        "0",
        "x",
        "\r",
    ]
)


@given(st.lists(PIECES, max_size=24).map("".join))
def test_a_text_names_those_whom_the_reference_finds(text: str) -> None:
    assert parse_mentions(text, ROSTER) == reference(text, ROSTER)


@given(st.text(alphabet="@`~\n adrev-0_é", max_size=60))
def test_any_text_names_those_whom_the_reference_finds(text: str) -> None:
    assert parse_mentions(text, ROSTER) == reference(text, ROSTER)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("@ada", ("ada",)),
        ("@operator.", ("operator",)),
        ("hello @rev, and @ada: and @rev again", ("rev", "ada")),
        ("(@ada)", ("ada",)),
        ("é@ada", ("ada",)),
        ("\n@ada\n", ("ada",)),
        ("@rev-2", ("rev-2",)),
        ("@@ada", ("ada",)),
        ("`code` @ada", ("ada",)),
        ("``` not closed on this line @ada", ()),
        ("a ` alone @ada", ("ada",)),
        ("a ` open\n\nand @ada ` in another paragraph", ("ada",)),
        ("~~ struck ~~ @ada", ("ada",)),
    ],
)
def test_a_name_after_an_at_sign_is_a_mention(text: str, named: tuple[str, ...]) -> None:
    assert parse_mentions(text, ROSTER) == named


@pytest.mark.hostile("U04")
@pytest.mark.parametrize(
    "text",
    [
        "ada",
        "@",
        "@nobody",
        "a@operator",
        "mail_@ada",
        "x-@ada",
        "@ada-",
        "@adas",
        "@Ada",
        "@оperator",
        "@ operator",
        "＠ada",
        "@\u200bada",
        "`@ada`",
        "``@ada ` @rev``",
        "`a\n@ada`",
        "```\n@ada\n```",
        "~~~\n@ada\n~~~",
        "   ```py\n@ada\n   ```",
        "````\n```\n@ada\n````",
        "```\n@ada\n``` not an end\n@rev",
        "~~~ with `tick`\n@ada",
        "```\nopen to the end @ada",
    ],
)
def test_what_is_no_exact_alias_or_stands_in_code_is_no_mention(text: str) -> None:
    assert parse_mentions(text, ROSTER) == ()


def test_who_is_named_is_looked_up_in_the_roster_as_it_is() -> None:
    assert parse_mentions("@ada @rev", {"rev"}) == ("rev",)


HOSTILE = [
    "@",
    "`",
    "~",
    "@a",
    "-@",
    "`@",
    "``` `",
    "@ada ",
    "`\n",
    "```\n",
    "~~~\n",
    "\n",
    " ",
    "@-",
]


@pytest.mark.hostile("U04")
def test_a_text_of_the_greatest_length_is_read_in_linear_time() -> None:
    texts = [(piece * MAX_TEXT_UNITS)[:MAX_TEXT_UNITS] for piece in HOSTILE]
    # Runs of ever other lengths, none of which closes another.
    texts.append("".join("`" * n + " @ada " for n in range(1, 210)))
    texts.append("".join("`" * n + "\n\n" for n in range(1, 210)))
    started = time.process_time()
    for text in texts:
        parse_mentions(text, ROSTER)
    # All together take about 50 ms; a quadratic reading of one alone takes many seconds.
    assert time.process_time() - started < 3
