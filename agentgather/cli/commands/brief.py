"""``room brief``: view or set the brief."""

import click

from agentgather.cli.context import Context
from agentgather.cli.failures import Misused
from agentgather.cli.main import CONTEXT_SETTINGS
from agentgather.cli.options import json_option
from agentgather.cli.render import visible


@click.group(context_settings=CONTEXT_SETTINGS, help="View or set the brief.")
def brief() -> None:
    """Hold the two commands."""


@brief.command(short_help="print the brief", help="Print the brief.")
@json_option
@click.pass_obj
def view(context: Context) -> None:
    """Print the brief."""
    answer = context.api.brief()
    context.emit(answer, visible(answer["brief"]["body"]) or "(empty)")


@brief.command(
    name="set",
    short_help="replace the brief",
    help="Replace the brief with WORDS, --body, --body-file, or standard input where it is `-`.",
)
@click.argument("words", nargs=-1)
@click.option("--body", metavar="TEXT", help="the new brief")
@click.option("--body-file", metavar="FILE", help="a file that has the new brief")
@json_option
@click.pass_obj
def set_(context: Context, words: tuple[str, ...], body: str | None, body_file: str | None) -> None:
    """Replace the brief."""
    if words:
        if body is not None or body_file is not None:
            raise Misused("give the brief as words or with an option, not both")
        body = " ".join(words)
    text = context.text_or_file(body, body_file, "brief")
    if text is None:
        raise Misused("give the brief: words, --body, --body-file, or `-` for standard input")
    answer = context.api.set_brief(text)
    context.emit(answer, f"the brief is now version {answer['brief']['brief_version']}")
