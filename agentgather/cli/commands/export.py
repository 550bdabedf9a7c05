"""``export``: write the whole room to a file."""

import json
from pathlib import Path
from typing import Any

import click

from agentgather.cli.context import Context
from agentgather.cli.failures import Refused
from agentgather.cli.options import json_option
from agentgather.domain.export import render_json, render_markdown
from agentgather.storage.files import UnsafeFile, create_file
from agentgather.storage.journal import read_journal
from agentgather.storage.stored_room import LOG_FILE
from agentgather.wire.records import Message


@click.command(
    short_help="write the whole room to a file",
    help="Write brief, roster and messages to --output, which only you can read. It works on a "
    "hosted room, served or not, and on a room in which you have a seat.",
)
@click.option("--output", required=True, metavar="FILE", help="`-` is standard output")
@click.option("--format", "form", type=click.Choice(("md", "json")), help="[default: by FILE]")
@click.option("--force", is_flag=True, help="replace FILE if it exists")
@json_option
@click.pass_obj
def export(context: Context, output: str, form: str | None, force: bool) -> None:
    """Export a room."""
    seat = context.seat()
    hosted = context.home.has_room(seat.roomId)
    document = _from_files(context, seat.roomId) if hosted else _from_server(context)
    if form is None:
        form = "json" if output.endswith(".json") else "md"
    text = (
        render_markdown(document)
        if form == "md"
        else json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    )
    if output == "-":
        context.write(text.rstrip("\n"))
        return
    try:
        create_file(Path(output).absolute(), text.encode(), replace=force)
    except FileExistsError:
        raise Refused(f"{output} exists; --force replaces it") from None
    except UnsafeFile as error:
        raise Refused(str(error)) from None
    count = len(document["messages"])
    result = {"ok": True, "room": seat.roomId, "output": output, "format": form, "messages": count}
    context.emit(result, f"wrote {count} messages of {seat.roomId} to {output}")


def _from_files(context: Context, room: str) -> dict[str, Any]:
    """Read the files as they are: no lock is taken, so a server goes on undisturbed."""
    stored = context.home.read_room(room)
    messages: list[Message] = []
    read_journal(
        context.home.room_path(room) / LOG_FILE,
        room,
        lambda message, _line: messages.append(message),
    )
    return render_json(
        stored.state, stored.brief, stored.participants, messages, context.now_text()
    )


def _from_server(context: Context) -> dict[str, Any]:
    status, brief = context.api.status(), context.api.brief()["brief"]
    messages: list[dict[str, Any]] = []
    since = 0
    while True:
        page = context.api.messages(since)
        messages += page["messages"]
        if not page["has_more"]:
            break
        since = page["next_since_id"]
    kept = ("alias", "display_name", "kind", "role", "is_host", "joinedAt", "removed_at")
    return {
        "room": {
            "id": status["room"],
            "status": status["room_status"],
            "createdAt": messages[0]["ts"] if messages else "",
            "attendance_policy": status["attendance_policy"],
        },
        "exported_at": context.now_text(),
        "brief": brief,
        "participants": [
            {key: one[key] for key in kept if key in one} for one in status["participants"]
        ],
        "messages": messages,
    }
