"""``handoff``: hand work over, with a summary."""

from pathlib import Path

import click

from agentgather.cli.commands.send import key_option, post
from agentgather.cli.context import Context
from agentgather.cli.failures import Misused
from agentgather.cli.options import SLUG, json_option
from agentgather.domain.text import utf16_units
from agentgather.wire.limits import MAX_SUMMARY_UNITS


@click.command(
    short_help="hand work over to somebody, with a summary",
    help="Hand work over to ALIAS. --summary is a text, the name of a file that has it, or `-`.",
)
@click.argument("alias", type=SLUG)
@click.option("--summary", required=True, metavar="TEXT|FILE", help="what the other must know")
@key_option
@json_option
@click.pass_obj
def handoff(context: Context, alias: str, summary: str, client_msg_id: str | None) -> None:
    """Post a handoff."""
    if _is_file(summary):
        summary = context.text_or_file(None, summary, "summary") or ""
    summary = context.text_of((), summary)
    if utf16_units(summary) > MAX_SUMMARY_UNITS:
        raise Misused(f"the summary is over {MAX_SUMMARY_UNITS:,} characters; shorten it")
    draft = {"text": f"@{alias} {summary}", "type": "handoff"}
    answer = post(context, draft, client_msg_id, f"handoff {alias}")
    context.emit(answer, f"handed over to @{alias} in #{answer['message']['id']}")


def _is_file(text: str) -> bool:
    try:
        return "\n" not in text and len(text) < 1024 and Path(text).is_file()
    except (OSError, ValueError):
        return False
