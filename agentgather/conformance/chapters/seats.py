"""Clauses of joining, leaving, profiles and attendance."""

from typing import Final

from agentgather.conformance.clause import API, STATES, Clause, Try, posts, refused
from agentgather.conformance.room import Room
from agentgather.conformance.seat import Seat
from agentgather.conformance.verdict import among, holds, same, says
from agentgather.wire.limits import STALE_AFTER_MS

JOIN: Final = f"{API}#post-join"
LEAVE: Final = f"{API}#post-leave"
PROFILE: Final = f"{API}#post-profile"
STATUS: Final = f"{API}#get-status"
ATTENDANCE: Final = f"{STATES}#attendance"
NEVER_MS: Final = 2**53 - 1


async def _join(room: Room) -> None:
    agent = await room.agent()
    joined = (await room.ask("POST", "/join", agent)).document()
    says(joined, ok=True, participant=agent.alias)


async def _once(room: Room) -> None:
    guest = await room.guest("coming", kind="human")
    cursor = await room.end()
    for action in ("join", "join", "leave", "leave", "join"):
        (await room.ask("POST", f"/{action}", guest)).document()
    came, went = f"{guest.alias} joined", f"{guest.alias} left"
    same("the lines", await room.lines(cursor), [came, went, came])


async def _leave(room: Room) -> None:
    human = await room.human()
    says((await room.ask("POST", "/leave", human)).document(), ok=True)
    same("the status of a request after it", (await room.ask("GET", "/brief", human)).status, 200)


async def _attention(room: Room) -> None:
    guest = await room.guest("attending", kind="human")

    async def is_now(attention: str, after: str) -> None:
        found = (await room.public(guest.alias))["attention"]
        same(f"attention after {after}", found, attention)

    await is_now("manual", "the invite")
    await room.post(guest, "a post alone")
    await is_now("manual", "a post")
    await room.get("/wait?hold=0", guest)
    await is_now("attending", "a wait")
    await room.ask("POST", "/leave", guest)
    await is_now("away", "a leave")
    await room.ask("POST", "/join", guest)
    await is_now("attending", "a join")


async def _sign_of_life(room: Room) -> None:
    guest = await room.guest("silent", kind="human")
    for target in ("/status", "/brief", "/card", "/profile", "/messages", "/activity"):
        same(f"the status of GET {target}", (await room.ask("GET", target, guest)).status, 200)
    public = await room.public(guest.alias)
    same("last_seen_age_ms of who only reads", public["last_seen_age_ms"], NEVER_MS)
    same("lastSeenAt", public["lastSeenAt"], "")
    same("joinedAt", public["joinedAt"], "")
    await room.post(guest, "alive")
    age = (await room.public(guest.alias))["last_seen_age_ms"]
    holds(0 <= age < STALE_AFTER_MS, f"last_seen_age_ms after a post is {age}")


async def _held(room: Room) -> None:
    human = await room.human()
    async with room.held(human, f"/wait?since_id={await room.end()}"):
        public = await room.public(human.alias)
    same("last_seen_age_ms during a held wait", public["last_seen_age_ms"], 0)
    same("attention", public["attention"], "attending")


async def _policies(room: Room) -> None:
    human, agent = await room.human(), await room.agent()
    expected = {
        "manual-ok": (False, False),
        "agents-foreground": (False, True),
        "all-foreground": (True, True),
    }
    for policy, (of_human, of_agent) in expected.items():
        same("attendance_policy", (await room.set_policy(policy))["attendance_policy"], policy)
        for seat, required in ((human, of_human), (agent, of_agent)):
            public = await room.public(seat.alias)
            what = f"attendance_required of {public['kind']} under {policy}"
            same(what, public["attendance_required"], required)
            states = {"not_attending", "attending"} if required else {public["attention"]}
            among("attendance_state", public["attendance_state"], states)


async def _renamed(room: Room, seat: Seat, name: str) -> str:
    answer = await room.ask("POST", "/profile", seat, sent={"display_name": name})
    return str(answer.document()["participant"]["display_name"])


async def _own(room: Room) -> None:
    human = await room.human()
    own = (await room.get("/profile", human))["participant"]
    listed = await room.public(human.alias)
    # Its age is another at the next moment.
    for one in (own, listed):
        one.pop("last_seen_age_ms")
    same("the profile", own, listed)


async def _profile(room: Room) -> None:
    human = await room.human()
    name = f"Conformance {human.alias[-12:]}"
    same("the name", await _renamed(room, human, f"  {name.replace(' ', '   ')} "), name)
    profile = await room.get("/profile", human)
    same("the profile", profile["participant"]["display_name"], name)
    same("the roster", (await room.public(human.alias))["display_name"], name)
    same("the longest name", await _renamed(room, human, "y" * 60), "y" * 60)
    await _renamed(room, human, name)


async def _taken(room: Room) -> None:
    human, agent = await room.human(), await room.agent()
    name = f"Twin of {human.alias[12:18]}"
    await _renamed(room, human, name)
    alike = (name, name.upper(), name.replace("o", "\u043e"), human.alias, f"{name}\u0301")
    for one in alike:
        answer = await room.ask("POST", "/profile", agent, sent={"display_name": one})
        answer.refuses("display_name_taken", "invalid_display_name")


CLAUSES: Final = (
    Clause("join.answer", JOIN, "names the caller", _join),
    Clause("join.lines", f"{STATES}#seat", "one line for each coming and going", _once),
    Clause("leave.answer", LEAVE, "the token stays valid", _leave),
    Clause("attendance.attention", ATTENDANCE, "follows from what was done last", _attention),
    Clause("attendance.reading", STATUS, "reading is no sign of life, posting is", _sign_of_life),
    Clause("attendance.held", STATUS, "a held wait is attendance, of no age", _held),
    Clause("attendance.policies", f"{API}#post-attendance", "who is to stay", _policies),
    Clause("profile.own", f"{API}#get-profile", "the seat as the roster shows it", _own),
    Clause("profile.name", PROFILE, "a name is trimmed, and shown everywhere", _profile),
    Clause("profile.taken", PROFILE, "a name that looks like another's", _taken),
    refused(
        "profile.bad-name",
        PROFILE,
        "1 to 60 visible characters",
        "invalid_display_name",
        *posts(
            "/profile",
            *({"display_name": name} for name in ("", "  ", "x" * 61, "a\u0007b", "a\u202eb", 7)),
        ),
    ),
    refused(
        "profile.reserved",
        PROFILE,
        "a name that is kept for the room",
        "reserved_name",
        *posts("/profile", *({"display_name": name} for name in ("system", "ADMIN", "\uff41ll"))),
    ),
    refused(
        "join.not-an-object",
        f"{API}#requests",
        "a POST that needs no body takes none, or an object",
        "invalid_body",
        Try("POST", "/join", body=b"[]"),
        Try("POST", "/leave", body=b'"x"'),
    ),
)
