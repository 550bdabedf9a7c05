import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgather.domain.display_names import parse_display_name, skeleton
from agentgather.domain.roster import Roster
from agentgather.wire.errors import Rejected
from agentgather.wire.names import RESERVED_ALIASES
from agentgather.wire.records import Participant

LOOK_ALIKES = [
    "Operator",
    "OPERATOR",
    "оperator",  # Cyrillic
    "οperator",  # Greek
    "ореrаtоr",
    "ｏｐｅｒａｔｏｒ",
    "𝐨𝐩𝐞𝐫𝐚𝐭𝐨𝐫",
    "ⓞperator",
    "ópérátór",
    "o\u0308perator",
    "0perator",
    "o p e r a t o r",
    "oper ator",
    "ᴏperator".replace("ᴏ", "o"),
]

SPELLINGS = [str, str.upper, str.title, " ".join, lambda alias: alias.replace("e", "е")]


def reason(text: str, own_alias: str = "ada") -> str:
    with pytest.raises(Rejected) as refused:
        parse_display_name(text, own_alias=own_alias)
    return refused.value.code


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ada", "Ada"),
        ("  Ada \n", "Ada"),
        ("Ada \t  Lovelace", "Ada Lovelace"),
        ("Ada\u00a0\u3000Lovelace", "Ada Lovelace"),
        ("Ada\u2028Lovelace", "Ada Lovelace"),
        ("Zoë", "Zoë"),
        ("山田", "山田"),
        ("ليلى", "ليلى"),
        ("a" * 60, "a" * 60),
        ("😀" * 30, "😀" * 30),
        ("R2-D2 (bot)", "R2-D2 (bot)"),
    ],
)
def test_a_name_is_trimmed_and_its_inner_space_collapsed(text: str, name: str) -> None:
    assert parse_display_name(text, own_alias="ada") == name


@pytest.mark.hostile("U02")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "\n\t",
        "\xa0",
        "\u3000",
        "a" * 61,
        "😀" * 31,
        "ada\x00",
        "a\x1bda",
        "ada\x7f",
        "a\x1fda",
        "ada\x1f",
        "\x1cada",
        "ada\u200b",
        "\u202eada",
        "ad\u2066a",
        "ad\xada",
        "\ufeffada",
        "\u3164",
        "\U000e0061",
        "ada\ue000",
        "ada\U0010ffff",
        "\u0301\u0301",
        "\u115f",
    ],
)
def test_an_empty_long_or_partly_unseen_name_is_invalid(text: str) -> None:
    assert reason(text) == "invalid_display_name"


@pytest.mark.hostile("U03")
@pytest.mark.parametrize("alias", sorted(RESERVED_ALIASES))
@pytest.mark.parametrize(
    "spell", [str, str.upper, str.title, " ".join, lambda s: s.replace("e", "е")]
)
def test_nobody_is_called_what_is_the_room_s_own(alias: str, spell: object) -> None:
    assert callable(spell)
    assert reason(spell(alias)) == "reserved_name"


def test_a_host_may_be_called_by_its_own_alias() -> None:
    assert parse_display_name("Host", own_alias="host") == "Host"
    assert reason("System", own_alias="host") == "reserved_name"
    assert reason("Host", own_alias="ada") == "reserved_name"


@pytest.mark.hostile("U02", "U03")
@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_name_that_looks_like_another_s_alias_is_taken(name: str) -> None:
    roster = Roster([Participant(alias="operator"), Participant(alias="ada")])
    with pytest.raises(Rejected, match="display_name_taken"):
        roster.check_name_free("ada", parse_display_name(name, own_alias="ada"))


@pytest.mark.hostile("U02")
@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_name_that_looks_like_another_s_name_is_taken(name: str) -> None:
    roster = Roster([Participant(alias="rev", display_name="Operator"), Participant(alias="ada")])
    with pytest.raises(Rejected, match="display_name_taken"):
        roster.check_name_free("ada", name)


def test_a_name_is_free_of_its_own_holder_and_of_those_who_were_removed() -> None:
    gone = Participant(alias="rev", display_name="Ada L", removed_at="2026-01-01T00:00:00.000Z")
    roster = Roster([gone, Participant(alias="ada", display_name="Ada L")])
    roster.check_name_free("ada", "Ada L")
    roster.check_name_free("ada", "Rev")


def test_strokes_that_look_alike_are_one() -> None:
    assert len({skeleton(name) for name in ("Il1|", "lIl1", "ІӀ1l", "iIıl")}) == 1


@given(st.text(max_size=70))
def test_what_is_accepted_is_short_visible_and_stable(text: str) -> None:
    try:
        name = parse_display_name(text, own_alias="ada")
    except Rejected:
        return
    assert parse_display_name(name, own_alias="ada") == name
    assert name == name.strip()
    assert "  " not in name
    assert 1 <= len(name.encode("utf-16-le")) // 2 <= 60
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in name)
    assert skeleton(name)
    assert skeleton(name) == skeleton(name.upper().lower()) or not name.isascii()
