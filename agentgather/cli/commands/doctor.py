"""``doctor``: check the home, the room and its server. Prints no secret, changes nothing."""

import os
import resource
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from agentgather.cli.context import Context
from agentgather.cli.failures import Failure
from agentgather.cli.findings import Finding, report
from agentgather.cli.options import json_option
from agentgather.domain.text import parse_time
from agentgather.storage.journal import read_journal
from agentgather.storage.lock import read_holder
from agentgather.storage.stored_room import LOCK_FILE, LOG_FILE
from agentgather.storage.tunnel_files import is_left_behind, read_tunnel_holder
from agentgather.wire.records import CurrentRoom

LOW_DISK_BYTES: Final = 256 * 1024 * 1024
LOW_DESCRIPTORS: Final = 4096
EARLIEST_CLOCK_MS: Final = 1_767_225_600_000
"""2026-01-01: a clock before it was never set."""
CLOCK_SLACK_MS: Final = 5 * 60 * 1000
"""A clock that is corrected by less is nothing to speak of."""


@click.command(
    short_help="check the home, the room and its server",
    help="""Check the home, the selected room's files, lock and log, its server, the disk and the
clock. Exit status 1 if anything fails. It shows no secret and is no sign of life.

With --verify it checks the program itself instead: whether its files are those that were built
or installed. Files that are changed, missing or additional are named, with exit status 1. Who can
change the program can change the list of its files too: whether a download is genuine, only its
SHA256SUMS and their signature say.

\b
  agentgather doctor
  agentgather doctor --verify
""",
)
@click.option("--verify", is_flag=True, help="check the program's own files instead")
@json_option
@click.pass_obj
def doctor(context: Context, verify: bool) -> int:
    """Check everything, or the program."""
    if not verify:
        return report(context, _check_all(context))
    # Here, because nothing else needs hashes and the list of what is installed.
    from agentgather.cli.verify import check_program

    return report(context, _guarded("program", check_program))


def _check_all(context: Context) -> Iterator[Finding]:
    yield from _guarded("home", lambda: _check_home(context))
    yield from _guarded("clock", lambda: _check_clock(context))
    yield from _guarded("descriptors", _check_descriptors)
    yield from _guarded("seat", lambda: _check_seat(context))


def _check_seat(context: Context) -> Iterator[Finding]:
    seat = context.home.read_current()
    if seat is None:
        yield Finding("warn", "seat", "no room is selected")
        return
    yield Finding("ok", "seat", f"{seat.alias} in {seat.roomId}, at {seat.baseUrl}")
    if context.home.has_room(seat.roomId):
        yield from _guarded("files", lambda: _check_files(context, seat))
        yield from _guarded("log", lambda: _check_log(context, seat))
        yield from _guarded("lock", lambda: _check_lock(context, seat))
        yield from _guarded("tunnel", lambda: _check_tunnel(context, seat))
    yield from _guarded("server", lambda: _check_server(context, seat))


def _guarded(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except OSError as error:
        yield Finding("FAIL", name, error.strerror or "unreadable")
    except Exception as error:
        yield Finding("FAIL", name, str(error))


def _check_home(context: Context) -> Iterator[Finding]:
    root = context.home.root
    if not root.exists():
        yield Finding("warn", "home", f"{root} does not exist yet")
        return
    found = root.stat()
    if found.st_uid != os.getuid():
        yield Finding("FAIL", "home", f"{root} belongs to another user")
    elif found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        yield Finding("FAIL", "home", f"others can enter {root} (mode {mode:o}); chmod 700 it")
    elif lax := _lax([*root.glob("*.json"), *root.glob("seats/*.json")]):
        yield Finding("FAIL", "home", f"others can read {lax}; chmod 600 them")
    else:
        yield Finding("ok", "home", str(root))
    free = shutil.disk_usage(root).free
    detail = f"{free // 2**20:,} MiB free"
    yield Finding("ok" if free >= LOW_DISK_BYTES else "warn", "disk", detail)


def _check_clock(context: Context) -> Iterator[Finding]:
    sane = context.wall_ms() >= EARLIEST_CLOCK_MS
    yield Finding("ok" if sane else "FAIL", "clock", context.now_text())


def _check_descriptors() -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    detail = f"{hard:,} files and connections at once"
    yield Finding("ok" if hard >= LOW_DESCRIPTORS else "warn", "descriptors", detail)


def _check_files(context: Context, seat: CurrentRoom) -> Iterator[Finding]:
    stored = context.home.read_room(seat.roomId)
    lax = _lax(context.home.room_path(seat.roomId).iterdir())
    for warning in stored.warnings:
        yield Finding("warn", "files", warning)
    if lax:
        yield Finding("FAIL", "files", f"others can read {lax}; chmod go= them")
    else:
        seats = f"{len(stored.participants)} seat(s)"
        yield Finding("ok", "files", f"{stored.state.status}, {seats}")
    changed_ms = parse_time(stored.state.updatedAt)
    if changed_ms is not None and changed_ms > context.wall_ms() + CLOCK_SLACK_MS:
        yield Finding("warn", "clock", f"the room was changed at {stored.state.updatedAt}, later")


def _lax(paths: Iterable[Path]) -> str:
    """Name the files that others can read."""
    return ", ".join(
        sorted(p.name for p in paths if p.lstat().st_mode & 0o077 and not p.is_symlink())
    )


def _check_log(context: Context, seat: CurrentRoom) -> Iterator[Finding]:
    path = context.home.room_path(seat.roomId) / LOG_FILE
    recovery = read_journal(path, seat.roomId, lambda _message, _line: None)
    if _holder(context, seat) is not None:
        # A server may be in the middle of its last line, which nobody was told of yet.
        recovery = replace(recovery, torn_bytes=0)
    for problem in recovery.problems:
        yield Finding("FAIL", "log", problem)
    if not recovery.problems:
        yield Finding("ok", "log", f"{recovery.records:,} messages")


def _check_lock(context: Context, seat: CurrentRoom) -> Iterator[Finding]:
    holder = _holder(context, seat)
    if holder is None:
        yield Finding("ok", "lock", "free: no server runs")
    else:
        yield Finding("ok", "lock", f"held by process {holder or '(unknown)'}")


def _holder(context: Context, seat: CurrentRoom) -> int | None:
    return read_holder(context.home.room_path(seat.roomId) / LOCK_FILE)


def _check_tunnel(context: Context, seat: CurrentRoom) -> Iterator[Finding]:
    tunnel = context.home.read_tunnel(seat.roomId)
    if tunnel is None:
        holder = read_tunnel_holder(context.home, seat.roomId)
        if holder is not None:
            tries = f"process {holder or '(unknown)'} tries on; no broker has taken the room yet"
            yield Finding("warn", "tunnel", tries)
        return
    if is_left_behind(context.home, seat.roomId, tunnel):
        gone = f"{tunnel.publicUrl} leads nowhere: its process was killed; the next one tidies up"
        yield Finding("warn", "tunnel", gone)
    else:
        yield Finding("ok", "tunnel", tunnel.publicUrl)


def _check_server(context: Context, seat: CurrentRoom) -> Iterator[Finding]:
    hosted = context.home.has_room(seat.roomId)
    served = hosted and _holder(context, seat) is not None
    api = context.api_of(seat, offline=False)
    try:
        status = api.status()
    except Failure as error:
        missing = hosted and not served
        yield Finding("warn" if missing else "FAIL", "server", str(error))
        return
    yield Finding("ok", "server", f"{status['room']} is {status['room_status']}")
    if hosted and not served:
        yield Finding("FAIL", "server", "what answers has no lock on this home's room")
    if status["room"] != seat.roomId or status["me"] != seat.alias:
        yield Finding("FAIL", "seat", f"the token is of {status['me']} in {status['room']}")
