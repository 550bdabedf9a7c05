import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgather.domain.roster import Roster, is_expired
from agentgather.domain.text import Moment
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_INVITE_SECONDS, MAX_PARTICIPANTS
from agentgather.wire.names import RESERVED_ALIASES
from agentgather.wire.records import Participant

NOW = Moment(5.0, 1_767_323_045_000)


def roster(*aliases: str) -> Roster:
    return Roster(
        [Participant(alias="host", kind="human", is_host=True, token_hash="h-host")]
        + [Participant(alias=alias, token_hash=f"h-{alias}") for alias in aliases]
    )


def invite(seats: Roster, alias: str, **extra: object) -> Participant:
    options = {"single_use": False, "expires_in_s": None, **extra}
    return seats.decide_invite(alias, "agent", "participant", "h", NOW, **options)  # type: ignore[arg-type,]


def test_a_seat_is_found_by_its_alias_and_by_its_token_s_hash() -> None:
    seats = roster("ada")
    ada = seats.get("ada")
    assert ada is not None
    assert seats.by_hash("h-ada") is ada
    assert seats.get("nobody") is None
    assert seats.by_hash("nothing") is None
    assert seats.present == {"host", "ada"}


@pytest.mark.parametrize("alias", ["a", "0", "rev-2", "a-", "a" * 64, "a--b"])
def test_an_alias_of_lower_case_letters_digits_and_dashes_is_taken(alias: str) -> None:
    assert invite(roster(), alias).alias == alias


@pytest.mark.hostile("U01")
@pytest.mark.parametrize(
    "alias",
    [
        "",
        "Operator",
        "оperator",
        "ｏperator",
        "operator\u200b",
        "operator ",
        "operator\n",
        "a" * 65,
        "-x",
        "--json",
        "a_b",
        "a.b",
        "a/b",
        "a\\b",
        "..",
        "%2e",
        "a\x00",
        "é",
        "a\r",
        "\na",
        "٣",
    ],
)
def test_any_other_alias_is_invalid(alias: str) -> None:
    with pytest.raises(Rejected, match="invalid_alias"):
        invite(roster(), alias)


@pytest.mark.hostile("U03")
@pytest.mark.parametrize("alias", sorted(RESERVED_ALIASES))
def test_an_alias_of_the_room_s_own_is_reserved(alias: str) -> None:
    with pytest.raises(Rejected, match="reserved_name"):
        invite(roster(), alias)


@pytest.mark.hostile("A13")
def test_an_alias_is_never_given_twice_even_after_its_holder_was_removed() -> None:
    seats = roster("ada", "host-2")
    with pytest.raises(Rejected, match="alias_taken"):
        invite(seats, "ada")
    with pytest.raises(Rejected, match="alias_taken"):
        invite(seats, "host-2")
    seats.put(seats.decide_remove("ada", NOW))
    with pytest.raises(Rejected, match="alias_taken"):
        invite(seats, "ada")


def test_a_full_roster_takes_no_more() -> None:
    seats = roster(*(f"a{n}" for n in range(MAX_PARTICIPANTS - 2)))
    seats.put(invite(seats, "last"))
    with pytest.raises(Rejected, match="roster_full"):
        invite(seats, "one-more")


@pytest.mark.parametrize("seconds", [0, -1, MAX_INVITE_SECONDS + 1, 2**53])
def test_an_invite_lasts_from_a_second_to_a_year(seconds: int) -> None:
    with pytest.raises(Rejected, match="invalid_expiry"):
        invite(roster(), "ada", expires_in_s=seconds)
    assert invite(roster(), "ada", expires_in_s=1).invite_expires_at is not None
    assert invite(roster(), "ada", expires_in_s=MAX_INVITE_SECONDS).invite_expires_at is not None


@pytest.mark.hostile("A06")
def test_an_unused_invite_expires_at_the_very_moment_and_a_used_one_never() -> None:
    seat = invite(roster(), "ada", expires_in_s=10)
    assert not is_expired(seat, Moment(0, NOW.wall_ms + 9_999))
    assert is_expired(seat, Moment(0, NOW.wall_ms + 10_000))
    seat.claimed_at = NOW.text()
    assert not is_expired(seat, Moment(0, NOW.wall_ms + 10_000))
    assert not is_expired(Participant(alias="ada"), NOW)


def test_a_rotated_seat_is_found_by_its_new_token_only() -> None:
    seats = roster("ada")
    seats.put(seats.decide_rotate("ada", "new"))
    assert seats.by_hash("h-ada") is None
    rotated = seats.by_hash("new")
    assert rotated is not None
    assert (rotated.alias, rotated.claimed_at, rotated.invite_expires_at) == ("ada", None, None)


def test_a_removed_seat_is_still_known_by_its_token_and_not_present() -> None:
    seats = roster("ada")
    seats.put(seats.decide_remove("ada", NOW))
    removed = seats.by_hash("h-ada")
    assert removed is not None
    assert removed.removed_at == NOW.text()
    assert seats.present == {"host"}


@pytest.mark.parametrize("alias", ["nobody", "gone", "", "a/b"])
def test_whoever_is_not_here_can_be_neither_removed_nor_rotated(alias: str) -> None:
    seats = roster("gone")
    seats.put(seats.decide_remove("gone", NOW))
    with pytest.raises(Rejected, match="unknown_participant"):
        seats.decide_remove(alias, NOW)
    with pytest.raises(Rejected, match="unknown_participant"):
        seats.decide_rotate(alias, "new")


def test_the_last_host_cannot_be_removed() -> None:
    seats = roster("ada")
    with pytest.raises(Rejected, match="host_required"):
        seats.decide_remove("host", NOW)
    seats.put(Participant(alias="second", is_host=True))
    seats.put(seats.decide_remove("host", NOW))
    with pytest.raises(Rejected, match="host_required"):
        seats.decide_remove("second", NOW)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["invite", "rotate", "remove", "rename"]),
        st.sampled_from(["ada", "rev", "bo", "host"]),
    ),
    max_size=12,
)


@given(STEPS, STEPS)
def test_changes_that_are_taken_back_newest_first_leave_no_trace(
    kept: list[tuple[str, str]], undone: list[tuple[str, str]]
) -> None:
    seats = roster()
    tokens = iter(range(1000))

    def change(what: str, alias: str) -> tuple[str, Participant | None] | None:
        token = f"t{next(tokens)}"
        try:
            if what == "invite":
                seat = seats.decide_invite(
                    alias, "agent", "participant", token, NOW, single_use=False, expires_in_s=None
                )
            elif what == "rotate":
                seat = seats.decide_rotate(alias, token)
            elif what == "remove":
                seat = seats.decide_remove(alias, NOW)
            else:
                return None
        except Rejected:
            return None
        return alias, seats.put(seat)

    def picture() -> object:
        every = {f"t{n}" for n in range(1000)} | {"h-host"}
        found = {token: seats.by_hash(token) for token in every}
        return (
            {p.alias: p for p in seats},
            {token: p.alias for token, p in found.items() if p is not None},
            set(seats.present),
        )

    for step in kept:
        change(*step)
    before, version = picture(), seats.version
    done = [undo for step in undone if (undo := change(*step)) is not None]
    for alias, was in reversed(done):
        seats.take_back(alias, was)
    assert picture() == before
    assert seats.version >= version
