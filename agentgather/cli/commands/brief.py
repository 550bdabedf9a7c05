"""``room brief``: view or set the brief."""

import click

from agentgather.cli.candidates import files
from agentgather.cli.context import Context
from agentgather.cli.failures import Misused
from agentgather.cli.inputs import optional_text
from agentgather.cli.lazy_group import CONTEXT_SETTINGS
from agentgather.cli.options import json_option
from agentgather.cli.render import one_line, visible
from agentgather.wire.limits import MAX_BRIEF_UNITS


@click.group(
    context_settings=CONTEXT_SETTINGS,
    short_help="view or set the brief",
    help="View or set the brief, the room's versioned mission text.",
)
def brief() -> None:
    """Hold the two commands."""


@brief.command(short_help="print the brief", help="Print the brief and its version.")
@json_option
@click.pass_obj
def view(context: Context) -> None:
    """Print the brief."""
    answer = context.api.brief()
    found = answer["brief"]
    head = f"version {found['brief_version']}, by {one_line(found['brief_updated_by'])}"
    if found["brief_updated_at"]:
        head += f" at {one_line(found['brief_updated_at'])}"
    text = visible(found["body"]) or "(empty)"
    context.emit(answer, f"{context.styled(head, 'faint')}\n\n{text}")


@brief.command(
    name="set",
    short_help="replace the brief",
    help="""Replace the brief with WORDS, --body, --body-file, or standard input where it is `-`.
The room is told of the new version.

\b
  agentgather room brief set --body-file brief.md
""",
)
@click.argument("words", nargs=-1)
@click.option("--body", metavar="TEXT", help="the new brief")
@click.option(
    "--body-file", metavar="FILE", shell_complete=files, help="a file that has the new brief"
)
@json_option
@click.pass_obj
def set_(context: Context, words: tuple[str, ...], body: str | None, body_file: str | None) -> None:
    """Replace the brief."""
    if words:
        if body is not None:
            raise Misused("give the brief as words or with --body, not both")
        body = " ".join(words)
    text = optional_text(context, body, body_file, "brief", max_units=MAX_BRIEF_UNITS)
    if text is None:
        raise Misused("give the brief: words, --body, --body-file, or `-` for standard input")
    answer = context.api.set_brief(text)
    context.emit(answer, f"the brief is now version {answer['brief']['brief_version']}")
