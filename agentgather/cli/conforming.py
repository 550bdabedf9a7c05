"""Tries a server's conformance, and tells what came of it."""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final, NamedTuple

import trio

from agentgather.cli.base_url import BaseUrl
from agentgather.cli.conformance_report import Progress, plain_clause, report_results
from agentgather.cli.context import Context
from agentgather.cli.failures import Misused
from agentgather.cli.failures import Unreachable as NotThere
from agentgather.cli.signals import heeded, signals_deferred
from agentgather.conformance.catalogue import CLAUSES
from agentgather.conformance.clause import Clause
from agentgather.conformance.client import Client
from agentgather.conformance.place import Unreachable
from agentgather.conformance.run import NoRoom, is_used, look, try_clauses
from agentgather.conformance.seat import ALIASES

_RUN_BYTES: Final = 3


class Wish(NamedTuple):
    """What is to be tried, as the command line says it."""

    url: str
    token: str
    clauses: tuple[Clause, ...]
    may_close: bool
    yes: bool


def chosen(prefixes: tuple[str, ...]) -> tuple[Clause, ...]:
    """Give the clauses whose names begin so; all where no beginning is given.

    Raises:
        Misused: no clause has such a name.

    """
    for prefix in prefixes:
        if not any(clause.name.startswith(prefix) for clause in CLAUSES):
            raise Misused(f"no clause begins with {prefix}; `agentgather conformance --list`")
    return tuple(one for one in CLAUSES if not prefixes or one.name.startswith(prefixes))


def print_clauses(context: Context, clauses: tuple[Clause, ...]) -> None:
    """Print what is tried, and where the contract says it."""
    width = max(len(clause.name) for clause in clauses)
    lines = [f"{one.name.ljust(width)}  {one.checks}  (spec/{one.said})" for one in clauses]
    document = {"ok": True, "clauses": [plain_clause(clause) for clause in clauses]}
    context.emit(document, "\n".join(lines))


def try_server(context: Context, wish: Wish) -> int:
    """Try a server, print each clause that fails or is skipped, and give the exit status.

    Raises:
        Misused: the URL or the token is not one of an open room's host.
        NotThere: nobody answers there.

    """
    base = BaseUrl(wish.url, insecure=context.insecure)
    progress = Progress(context, len(wish.clauses))
    # An exception out of a signal's handler would break Trio while it starts.
    with signals_deferred() as came:
        trio.run(_try_until_signal, context, base, wish, progress, came)
        progress.clear()
    match progress.fault:
        case Unreachable():
            raise NotThere(f"nobody answers at {base.text}: {progress.fault}")
        case NoRoom():
            raise Misused(f"{base.text}: {progress.fault}")
        case Exception():
            raise progress.fault
    return report_results(context, base.text, progress.results)


async def _try_until_signal(
    context: Context, base: BaseUrl, wish: Wish, progress: Progress, came: list[int]
) -> None:
    async def cancel_on_signal(signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if came:
                os._exit(128 + number)
            came.append(number)
            progress.scope.cancel()

    with trio.open_signal_receiver(*heeded()) as signals:
        if came:
            return
        async with trio.open_nursery() as receiving:
            receiving.start_soon(cancel_on_signal, signals)
            with progress.scope:
                async with aclosing(Client(base, say=progress.say)) as client:
                    try:
                        await _try(context, client, wish, progress)
                    except (Unreachable, NoRoom) as error:
                        progress.fault = error
            receiving.cancel_scope.cancel()


async def _try(context: Context, client: Client, wish: Wish, progress: Progress) -> None:
    status = await look(client, wish.token)
    if not wish.yes and await is_used(client, wish.token):
        raise NoRoom(
            f"the room {status['room']} has messages already, and would get some hundred more "
            "that nobody can take back; make a room for this, or say --yes"
        )
    run = context.entropy(_RUN_BYTES).hex()
    context.say(
        f"trying {len(wish.clauses)} clauses on {status['room']} at {client.place.text}; it gets "
        f"messages, which stay, and seats {ALIASES}{run}-*, which are removed"
    )
    await try_clauses(
        client,
        wish.token,
        status,
        wish.clauses,
        run=run,
        may_close=wish.may_close,
        begin=progress.begin,
        end=progress.end,
        warn=lambda text: context.say(f"warning: could not tidy up: {text}"),
    )
