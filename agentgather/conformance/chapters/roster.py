"""Clauses of inviting, rotating and removing, and of what only the host may do."""

from typing import Final

from agentgather.conformance.clause import API, Clause, Try, posts, refused
from agentgather.conformance.room import Room
from agentgather.conformance.seat import Seats
from agentgather.conformance.verdict import holds, in_order, same, says
from agentgather.wire.limits import MAX_INVITE_SECONDS
from agentgather.wire.names import RESERVED_ALIASES

INVITE: Final = f"{API}#post-participants"
ROTATE: Final = f"{API}#post-participantsaliasrotate"
REMOVE: Final = f"{API}#post-participantsaliasremove"
HOST: Final = f"{API}#host-only"
_KEYS: Final = ("ok", "room", "alias", "kind", "token", "card_command", "browser_url")


async def _invite(room: Room) -> None:
    for seat, kind in ((await room.human(), "human"), (await room.agent(), "agent")):
        invite = seat.invite
        in_order("the keys", invite, _KEYS)
        same("room", invite["room"], room.name)
        same("alias", invite["alias"], seat.alias)
        same("kind", invite["kind"], kind)
        same(
            "the end of browser_url", invite["browser_url"].partition("#")[2], f"token={seat.token}"
        )
        holds(
            invite["card_command"].startswith('curl -s "'),
            f"card_command is {invite['card_command'].partition('?')[0]}",
        )
        holds(f"token={seat.token}" in invite["card_command"], "card_command has not the token")
        base = invite["browser_url"].partition("#")[0].rstrip("/")
        holds(f'"{base}/card?' in invite["card_command"], "its two URLs differ in their base")


async def _default(room: Room) -> None:
    # It was invited without one.
    agent = await room.agent()
    same("kind where none is named", agent.invite["kind"], "agent")


async def _taken(room: Room) -> None:
    gone = await room.gone()
    human = await room.human()
    for alias in (room.host.alias, human.alias, gone.alias):
        if alias in RESERVED_ALIASES:
            continue  # a host may be called `host`, and nobody can be invited so
        answer = await room.ask("POST", "/participants", room.host, sent={"alias": alias})
        answer.refuses("alias_taken")


async def _observer(room: Room) -> None:
    observer = await room.seat(Seats.OBSERVER)
    for method, target in (("GET", "/messages"), ("GET", "/wait?hold=0"), ("POST", "/join")):
        (await room.ask(method, target, observer)).document()


async def _rotate(room: Room) -> None:
    observer = await room.seat(Seats.OBSERVER)
    fresh = await room.rotate(observer)
    in_order("the keys", fresh.invite, _KEYS)
    same("alias", fresh.invite["alias"], observer.alias)
    (await room.ask("GET", "/brief", observer)).refuses("forbidden")
    same("me", (await room.get("/status", fresh))["me"], observer.alias)


async def _remove(room: Room) -> None:
    guest = await room.guest("removed", kind="human")
    message = await room.post(guest, "what stays")
    cursor = await room.end()
    document = await room.remove(guest)
    holds("removed_at" in document["participant"], "the participant has no removed_at")
    same("alias", document["participant"]["alias"], guest.alias)
    same("the lines", await room.lines(cursor), [f"{guest.alias} removed"])
    same("what it wrote", (await room.since(message["id"] - 1))[0], message)
    holds("removed_at" in await room.public(guest.alias), "the roster does not say removed_at")
    await room.post(await room.human(), f"@{guest.alias} is gone")
    same("the mentions", (await room.since(cursor + 1))[0]["mentions"], [])


async def _last_host(room: Room) -> None:
    answer = await room.ask("POST", f"/participants/{room.host.alias}/remove", room.host)
    document = answer.document(409)
    same("error", document["error"], "host_required")
    same("is_host afterwards", (await room.public(room.host.alias))["is_host"], True)


async def _rearm(room: Room) -> None:
    cursor = await room.end()
    answer = (await room.ask("POST", "/loop-guard", room.host)).document()
    says(answer, ok=True, remaining=30)
    same("the lines", await room.lines(cursor), ["loop guard re-armed"])


CLAUSES: Final = (
    Clause("invite.answer", INVITE, "its keys; the URLs have the token", _invite),
    Clause("invite.default", INVITE, "an agent where no kind is named", _default),
    Clause("invite.taken", INVITE, "an alias is given once, a removed one's too", _taken),
    Clause("invite.observer", INVITE, "an observer reads, waits and joins", _observer),
    Clause("rotate.answer", ROTATE, "a fresh invite; the old token is nobody's", _rotate),
    Clause("remove.answer", REMOVE, "its line; what was written stays", _remove),
    Clause("remove.last-host", REMOVE, "the last host can't be removed: 409", _last_host),
    Clause("loop-guard.rearm", f"{API}#post-loop-guard", "the answer, and its line", _rearm),
    refused(
        "invite.bad-alias",
        INVITE,
        "1 to 64 of `a-z 0-9 -`, no dash first",
        "invalid_alias",
        *posts(
            "/participants",
            *(
                {"alias": alias}
                for alias in (
                    "",
                    "Operator",
                    "a b",
                    "-x",
                    "a\n",
                    "\u043eperator",
                    "x" * 65,
                    "a_b",
                    7,
                )
            ),
        ),
        by=Seats.HOST,
    ),
    refused(
        "invite.reserved",
        INVITE,
        "an alias that is kept for the room",
        "reserved_name",
        *posts("/participants", *({"alias": alias} for alias in sorted(RESERVED_ALIASES))),
        by=Seats.HOST,
    ),
    refused(
        "invite.bad-kind",
        INVITE,
        "a kind is agent or human",
        "invalid_kind",
        *posts("/participants", *({"alias": "x", "kind": kind} for kind in ("bot", "", 1))),
        by=Seats.HOST,
    ),
    refused(
        "invite.bad-role",
        INVITE,
        "a role is participant or observer",
        "invalid_role",
        *posts("/participants", *({"alias": "x", "role": role} for role in ("host", "", 1))),
        by=Seats.HOST,
    ),
    refused(
        "invite.bad-expiry",
        INVITE,
        "1 second to a year",
        "invalid_expiry",
        *posts(
            "/participants",
            *(
                {"alias": "x", "expires_in_s": seconds}
                for seconds in (0, -1, 1.5, "60", MAX_INVITE_SECONDS + 1)
            ),
        ),
        by=Seats.HOST,
    ),
    refused(
        "remove.unknown",
        REMOVE,
        "nobody has that alias",
        "unknown_participant",
        Try("POST", "/participants/nobody-has-this/remove"),
        Try("POST", "/participants/nobody-has-this/rotate"),
        by=Seats.HOST,
    ),
    refused(
        "host.only",
        HOST,
        "a participant does none of it",
        "host_required",
        Try("POST", "/brief", {"body": "x"}),
        Try("POST", "/attendance", {"policy": "manual-ok"}),
        Try("POST", "/loop-guard"),
        Try("POST", "/participants", {"alias": "x"}),
        Try("POST", "/participants/{alias}/rotate"),
        Try("POST", "/participants/{alias}/remove"),
        Try("GET", "/export"),
        Try("POST", "/close"),
    ),
)
