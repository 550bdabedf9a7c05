"""``reply``: answer a message."""

import click

from agentgather.cli.commands.send import key_option, post
from agentgather.cli.context import Context
from agentgather.cli.inputs import message_text
from agentgather.cli.options import MESSAGE_ID, json_option
from agentgather.wire.limits import MAX_TEXT_UNITS


@click.command(
    short_help="answer a message",
    help="""Answer message ID. The text is WORDS, --text, or standard input where it is `-`.

\b
  agentgather reply 12 "yes, both"
  agentgather reply 12 - < answer.md
""",
)
@click.argument("message_id", metavar="ID", type=MESSAGE_ID)
@click.argument("words", nargs=-1)
@click.option("--text", metavar="TEXT", help="the text, instead of words")
@key_option
@json_option
@click.pass_obj
def reply(
    context: Context,
    message_id: int,
    words: tuple[str, ...],
    text: str | None,
    client_msg_id: str | None,
) -> None:
    """Post a reply."""
    given = message_text(context, words, text, max_units=MAX_TEXT_UNITS)
    draft = {"text": given, "type": "reply", "reply_to": message_id}
    answer = post(context, draft, client_msg_id, f"reply {message_id} TEXT")
    context.emit(answer, f"sent #{answer['message']['id']} in reply to #{message_id}")
