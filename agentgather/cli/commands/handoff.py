"""``handoff``: hand work over, with a summary."""

from pathlib import Path

import click

from agentgather.cli.candidates import files, participants
from agentgather.cli.commands.send import key_option, note_absent, post
from agentgather.cli.context import Context
from agentgather.cli.inputs import message_text, read_text_file, without_last_line_end
from agentgather.cli.options import ALIAS, json_option
from agentgather.wire.limits import MAX_SUMMARY_UNITS


@click.command(
    short_help="hand work over to somebody, with a summary",
    help="""Hand work over to ALIAS. --summary is a text, the name of a file that has it, or `-` for
standard input; at most 12,000 characters.

\b
  agentgather handoff dev --summary "the parser is done; the tests are yours"
  agentgather handoff dev --summary summary.md
""",
)
@click.argument("alias", type=ALIAS, shell_complete=participants)
@click.option(
    "--summary",
    required=True,
    metavar="TEXT|FILE",
    shell_complete=files,
    help="what the other must know",
)
@key_option
@json_option
@click.pass_obj
def handoff(context: Context, alias: str, summary: str, client_msg_id: str | None) -> None:
    """Post a handoff."""
    if _is_file(summary):
        summary = without_last_line_end(read_text_file(summary, "summary"))
    prefix = f"@{alias} "
    text = message_text(
        context, (), summary, max_units=MAX_SUMMARY_UNITS + len(prefix), prefix=prefix
    )
    draft = {"text": text, "type": "handoff"}
    answer = post(context, draft, client_msg_id, f"handoff {alias} --summary TEXT")
    context.emit(answer, f"handed over to @{alias} in #{answer['message']['id']}")
    note_absent(context, answer, alias)


def _is_file(text: str) -> bool:
    try:
        return text != "-" and Path(text).is_file()
    except (OSError, ValueError):
        # Too long for a path, or no path at all: a text.
        return False
