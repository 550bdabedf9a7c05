"""``export``: write the whole room to a file."""

from dataclasses import replace
from pathlib import Path

import click
import msgspec

from agentgather.cli.answers import Document
from agentgather.cli.candidates import files
from agentgather.cli.commands.messages import pages_after
from agentgather.cli.context import Context
from agentgather.cli.failures import Refused
from agentgather.cli.options import json_option
from agentgather.domain.export import PARTICIPANT_KEYS, render_json, render_markdown
from agentgather.storage.files import create_file
from agentgather.storage.journal import read_journal
from agentgather.storage.recovery import Recovery
from agentgather.storage.stored_room import LOG_FILE
from agentgather.wire.records import encode_plain


@click.command(
    short_help="write the whole room to a file",
    help="""Write brief, roster and messages to --output, which only you can read. It works on a
hosted room, served or not, and on a room in which you have a seat. With --output - it goes to
standard output.

\b
  agentgather export --output review.md
  agentgather export --output review.json --force
  agentgather export --output - --format json | jq .messages
""",
)
@click.option(
    "--output",
    required=True,
    metavar="FILE",
    shell_complete=files,
    help="where to; `-` is standard output",
)
@click.option(
    "--format", "form", type=click.Choice(("md", "json")), help="the form  [default: as FILE ends]"
)
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
    if output == "-":
        if form == "json":
            context.write_json(document)
        else:
            context.write(render_markdown(document).removesuffix("\n"))
        context.flush()
        return
    data = render_markdown(document).encode() if form == "md" else encode_plain(document)
    try:
        create_file(Path(output).absolute(), data, replace=force)
    except FileExistsError:
        raise Refused(f"{output} exists; --force replaces it") from None
    count = len(document["messages"])
    result = {"ok": True, "room": seat.roomId, "output": output, "format": form, "messages": count}
    context.emit(result, f"wrote {count} messages of {seat.roomId} to {output}")


def _from_files(context: Context, room: str) -> Document:
    """Read the files as they are: no lock is taken, so a server goes on undisturbed."""
    stored = context.home.read_room(room)
    messages: list[Document] = []
    recovery = read_journal(
        context.home.room_path(room) / LOG_FILE,
        room,
        lambda _message, entry: messages.append(msgspec.json.decode(entry)),
    )
    for warning in (*stored.warnings, *_damage(recovery)):
        context.say(f"warning: {warning}")
    return render_json(
        stored.state, stored.brief, stored.participants, messages, context.now_text()
    )


def _damage(recovery: Recovery) -> tuple[str, ...]:
    # A server may be in the middle of its last line, which nobody was told of yet.
    return replace(recovery, torn_bytes=0).problems


def _from_server(context: Context) -> Document:
    api = context.api
    status, brief = api.status(), api.brief()["brief"]
    messages = [message for page in pages_after(api, 0) for message in page["messages"]]
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
            {key: one[key] for key in PARTICIPANT_KEYS if key in one}
            for one in status["participants"]
        ],
        "messages": messages,
    }
