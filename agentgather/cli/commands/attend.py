"""``attend`` and ``watch``: wait for what is new, and print it."""

import json
from collections.abc import Callable
from typing import Any

import click

from agentgather.cli.commands.messages import show
from agentgather.cli.context import Context
from agentgather.cli.failures import REFUSED, Refused, TryLater, Unreachable
from agentgather.cli.options import CURSOR, json_option
from agentgather.cli.room_api import RoomApi, open_api

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30

_ENDED = {
    "participant_removed": "the host removed this seat",
    "forbidden": "the token is no longer valid; ask the host for a new card",
    "invite_expired": "the invite expired before it was used; ask the host for a new one",
}


@click.command(
    short_help="wait once for news",
    help="Wait once for what is new after --since, or after what was read last, and print it.",
)
@click.option("--since", type=CURSOR, metavar="ID", help="wait for what comes after it")
@click.option("--for-me", is_flag=True, help="sleep through what does not concern you")
@json_option
@click.pass_obj
def watch(context: Context, since: int | None, for_me: bool) -> None:
    """Wait for one turn."""
    loop = WaitLoop(context, since, for_me=for_me)
    if not loop.turn() and not context.as_json:
        context.write("(no messages)")


@click.command(
    short_help="stay in the room until it closes",
    help="Stay in the room and print what is said, until the room closes, your seat is removed, "
    "or --max-turns deliveries were printed. Restarts of the server are waited out.",
)
@click.option("--since", type=CURSOR, metavar="ID", help="begin after it")
@click.option("--max-turns", type=click.IntRange(1), metavar="N", help="end after N deliveries")
@click.option("--for-me", is_flag=True, help="sleep through what does not concern you")
@json_option
@click.pass_obj
def attend(context: Context, since: int | None, max_turns: int | None, for_me: bool) -> int:
    """Wait turn after turn."""
    loop = WaitLoop(context, since, for_me=for_me)
    turns = 0
    while True:
        try:
            delivered = loop.patiently(loop.turn)
        except Refused as error:
            return _end(
                context, error.code or "refused", _ENDED.get(error.code, str(error)), REFUSED
            )
        turns += delivered
        if loop.ended:
            removed = loop.ended == "participant_removed"
            reason = _ENDED["participant_removed"] if removed else "the room is closed"
            return _end(context, loop.ended, reason, REFUSED if removed else 0)
        if max_turns is not None and turns >= max_turns:
            return _end(context, "max_turns", f"{turns} deliveries were printed", 0)


def _end(context: Context, code: str, reason: str, status: int) -> int:
    context.write(json.dumps({"ended": code}) if context.as_json else f"ended: {reason}")
    return status


class WaitLoop:
    """Waits over HTTP from a cursor, which moves when what was delivered is printed."""

    def __init__(self, context: Context, since: int | None, *, for_me: bool) -> None:
        self._context = context
        self._seat = context.seat()
        self._for_me = for_me
        if since is None:
            since = context.home.read_cursor(self._seat.roomId, self._seat.alias)
        self._since = since
        self.ended: str | None = None

    def turn(self) -> bool:
        """Wait once, print, and remember. True where there were messages."""
        answer = self._api().wait(self._since, for_me=self._for_me)
        for message in answer["messages"]:
            show(self._context, message)
        self._move(answer["next_since_id"])
        if not answer["keep_waiting"] and answer["next_cmd"] is None:
            self.ended = (
                "participant_removed" if answer.get("participant_status") else "room_closed"
            )
        return bool(answer["messages"])

    def patiently(self, turn: Callable[[], bool]) -> bool:
        """Take a turn; wait out a host that is away. Says so once, and once that it is back."""
        pause = FIRST_PAUSE_SECONDS
        away = False
        while True:
            try:
                delivered = turn()
            except (Unreachable, TryLater) as error:
                if not away:
                    self._context.say(f"agentgather: {error}; waiting for it…")
                    away = True
                jitter = 0.5 + self._context.entropy(1)[0] / 512
                asked = error.retry_after if isinstance(error, TryLater) else 0
                self._context.sleep(max(pause * jitter, asked))
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                continue
            if away:
                self._context.say("agentgather: back")
            return delivered

    def _api(self) -> RoomApi:
        # Files alone bring no news, so only a server is asked. The seat is read again
        # each time, because a restarted server may be at another URL.
        seat: Any = self._context.home.read_current()
        if seat is None or seat.roomId != self._seat.roomId or seat.alias != self._seat.alias:
            seat = self._seat
        return open_api(self._context.home, seat, insecure=self._context.insecure, offline=False)

    def _move(self, since_id: int) -> None:
        if since_id != self._since:
            self._since = since_id
            self._context.home.write_cursor(
                self._seat.roomId, self._seat.alias, since_id, self._context.now_text()
            )
