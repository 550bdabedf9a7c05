"""Clauses of what a room says of itself: status, brief, policy, activity, health."""

from typing import Final

from agentgather.conformance.chapters.message import TS
from agentgather.conformance.clause import API, Clause, gets, posts, refused
from agentgather.conformance.room import Room
from agentgather.conformance.seat import Seats
from agentgather.conformance.verdict import NotChecked, among, holds, in_order, same, says
from agentgather.wire.limits import (
    MAX_ACTIVITY_BUCKETS,
    MAX_ACTIVITY_NAMES,
    MAX_BRIEF_UNITS,
    STALE_AFTER_MS,
)
from agentgather.wire.names import ATTENDANCE_POLICIES, KINDS

STATUS: Final = f"{API}#get-status"
BRIEF: Final = f"{API}#post-brief"
_STATUS: Final = (
    *("ok", "room", "me", "is_host", "room_status", "brief_version", "attendance_policy"),
    *("stale_after_ms", "brief_updated_at", "brief_updated_by", "participants"),
)
_PUBLIC: Final = frozenset(
    {
        *("alias", "kind", "is_host", "location", "install", "attention", "attendance_required"),
        *("attendance_state", "joinedAt", "lastSeenAt", "last_seen_age_ms", "stale_after_ms"),
    }
)
_OPTIONAL: Final = frozenset({"display_name", "role", "removed_at"})
_ACTIVITY: Final = ("ok", "from", "to", "bucket_ms", "participants", "attending")


async def _status(room: Room) -> None:
    human = await room.human()
    status = await room.get("/status", human)
    missing = [key for key in _STATUS if key not in status]
    same("the missing keys", missing, [])
    same("room", status["room"], room.name)
    same("me", status["me"], human.alias)
    same("is_host", status["is_host"], False)
    same("is_host of the host", (await room.status())["is_host"], True)
    same("room_status", status["room_status"], "open")
    among("attendance_policy", status["attendance_policy"], set(ATTENDANCE_POLICIES))
    same("stale_after_ms", status["stale_after_ms"], STALE_AFTER_MS)


async def _public(room: Room) -> None:
    observer = await room.seat(Seats.OBSERVER)
    human = await room.human()
    roster = (await room.get("/status", human))["participants"]
    for one in roster:
        same(f"the missing keys of {one['alias']}", sorted(_PUBLIC - one.keys()), [])
        among("kind", one["kind"], set(KINDS))
        nulls = [key for key in _OPTIONAL if one.get(key, "") is None]
        same("the optional keys that are null", nulls, [])
        holds(not any("token" in key for key in one), f"the roster shows {sorted(one)}")
    by_alias = {one["alias"]: one for one in roster}
    same("role of an observer", by_alias[observer.alias].get("role"), "observer")
    holds("role" not in by_alias[human.alias], "a participant has a role")
    same("is_host of the host", by_alias[room.host.alias]["is_host"], True)


async def _brief(room: Room) -> None:
    human = await room.human()
    before = (await room.get("/brief", human))["brief"]
    cursor = await room.end()
    text = " Goal:\n\n**try** it all. "
    answer = (await room.set_brief(text))["brief"]
    keys = ("body", "brief_version", "brief_updated_at", "brief_updated_by")
    in_order("the keys", answer, keys)
    same("body", answer["body"], text)
    same("brief_version", answer["brief_version"], before["brief_version"] + 1)
    same("brief_updated_by", answer["brief_updated_by"], room.host.alias)
    holds(TS.fullmatch(answer["brief_updated_at"]) is not None, "brief_updated_at is no time")
    same("the brief as a participant reads it", (await room.get("/brief", human))["brief"], answer)
    line = f"Room brief updated to v{answer['brief_version']}"
    same("the lines", await room.lines(cursor), [line])
    status = await room.status()
    same("brief_version of /status", status["brief_version"], answer["brief_version"])


async def _longest(room: Room) -> None:
    text = "b" * MAX_BRIEF_UNITS
    same("the body is as it was sent", (await room.set_brief(text))["brief"]["body"] == text, True)
    same("an empty body", (await room.set_brief(""))["brief"]["body"], "")


async def _brief_html(room: Room) -> None:
    await room.set_brief("**bold** <script>x</script>")
    brief = (await room.get("/brief?render=html", await room.human()))["brief"]
    same("the last key", list(brief)[-1], "html")
    holds("<strong>bold</strong>" in brief["html"], f"the HTML is {brief['html']!r}")
    holds("<script" not in brief["html"], "the HTML has a script")


async def _policy(room: Room) -> None:
    cursor = await room.end()
    answer = await room.set_policy("host-directed")
    says(answer, ok=True, attendance_policy="host-directed")
    same("the lines", await room.lines(cursor), ["Attendance policy set to host-directed"])
    same("the policy of /status", (await room.status())["attendance_policy"], "host-directed")


async def _activity(room: Room) -> None:
    human = await room.human()
    await room.post(human, "something to count")
    found = await room.get("/activity", human)
    same("the missing keys", [key for key in _ACTIVITY if key not in found], [])
    holds(found["from"] <= found["to"], "from is after to")
    rows = found["participants"]
    holds(len(rows) <= MAX_ACTIVITY_NAMES, f"{len(rows)} participants have a row")
    totals = [row["total"] for row in rows]
    same("the totals, most first", totals, sorted(totals, reverse=True))
    for row in rows:
        same(f"the sum of {row['alias']}", sum(row["counts"]), row["total"])
        holds(len(row["counts"]) <= MAX_ACTIVITY_BUCKETS, "there are too many buckets")
    names = {row["alias"] for row in rows}
    holds("system" not in names, "the room's own lines are counted")
    holds(human.alias in names or "others" in found, "who has posted is not counted")


async def _healthz(room: Room) -> None:
    if room.client.may_be_fronted or room.client.is_tunnelled:
        raise NotChecked("the room is not asked on its own machine")
    same("the answer", (await room.ask("GET", "/healthz")).document(), {"ok": True})


async def _healthz_elsewhere(room: Room) -> None:
    if not room.client.is_tunnelled:
        raise NotChecked("no broker is in between")
    (await room.ask("GET", "/healthz")).refuses("not_found", "unsupported_route")


CLAUSES: Final = (
    Clause("status.keys", STATUS, "its keys, and who asks", _status),
    Clause("status.participants", STATUS, "the keys of each participant, and no token", _public),
    Clause("brief.set", BRIEF, "a new version, its line, and everybody reads it", _brief),
    Clause("brief.longest", BRIEF, "16,000 UTF-16 code units are taken, and none", _longest),
    Clause("brief.html", f"{API}#get-brief", "`render=html` adds safe HTML, last", _brief_html),
    Clause("policy.set", f"{API}#post-attendance", "the new policy, and its line", _policy),
    Clause("activity.counts", f"{API}#get-activity", "who wrote, counted and bounded", _activity),
    Clause("healthz.here", f"{API}#get-healthz", "on the host's machine: `ok`, no more", _healthz),
    Clause("healthz.elsewhere", f"{API}#get-healthz", "404 for others", _healthz_elsewhere),
    refused(
        "brief.too-long",
        BRIEF,
        "more than 16,000 UTF-16 code units",
        "brief_too_large",
        *posts("/brief", {"body": "b" * (MAX_BRIEF_UNITS + 1)}),
        by=Seats.HOST,
    ),
    refused(
        "brief.no-text",
        BRIEF,
        "a body that is none",
        "invalid_body",
        *posts("/brief", {}, {"body": 1}, {"body": None}),
        by=Seats.HOST,
    ),
    refused(
        "brief.bad-render",
        f"{API}#get-brief",
        "`render` is html or not there",
        "invalid_render",
        *gets("/brief?render=md"),
    ),
    refused(
        "policy.unknown",
        f"{API}#post-attendance",
        "what is no policy",
        "invalid_policy",
        *posts("/attendance", {"policy": "none"}, {"policy": ""}, {"policy": 1}, {}),
        by=Seats.HOST,
    ),
)
