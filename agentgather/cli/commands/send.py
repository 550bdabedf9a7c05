"""``send``: post one message to somebody."""

from typing import Any, Final

import click

from agentgather.cli.candidates import participants
from agentgather.cli.context import Context
from agentgather.cli.failures import Misused, TryLater, Unreachable
from agentgather.cli.inputs import message_text
from agentgather.cli.options import ALIAS, json_option
from agentgather.wire.limits import MAX_TEXT_UNITS
from agentgather.wire.names import is_client_msg_id

ATTEMPTS: Final = 3
"""A lost answer is asked for again under the same key so often; then a person decides."""
_PAUSE_SECONDS: Final = 0.3

key_option = click.option(
    "--client-msg-id", metavar="KEY", help="same key, same message: safe to send again"
)


@click.command(
    short_help="post one message to somebody",
    help="""Post `@ALIAS TEXT`. The text is WORDS, --text, or standard input where it is `-`.

\b
  agentgather send rev "please look at parser.py"
  git diff | agentgather send rev -
  agentgather send rev -- --help is text here

It is posted under a key that is made before the first attempt. Where it is not known to be
posted, the exit status is 69 and the key is printed: the same command with that key can be run
again, and posts nothing twice.
""",
)
@click.argument("alias", type=ALIAS, shell_complete=participants)
@click.argument("words", nargs=-1)
@click.option("--text", metavar="TEXT", help="the text, instead of words")
@key_option
@json_option
@click.pass_obj
def send(
    context: Context,
    alias: str,
    words: tuple[str, ...],
    text: str | None,
    client_msg_id: str | None,
) -> None:
    """Post ``@alias text``."""
    draft = {
        "text": message_text(context, words, text, max_units=MAX_TEXT_UNITS, prefix=f"@{alias} ")
    }
    answer = post(context, draft, client_msg_id, f"send {alias} TEXT")
    context.emit(answer, f"sent #{answer['message']['id']} to @{alias}")
    note_absent(context, answer, alias)


def post(context: Context, draft: dict[str, Any], key: str | None, again: str) -> dict[str, Any]:
    """Post a draft under a key made before the first attempt, so that none counts twice.

    Raises:
        Unreachable, TryLater: it is not known to be posted; the text has the key.

    """
    if key is not None and not is_client_msg_id(key):
        raise Misused("--client-msg-id is 1 to 128 of A-Z a-z 0-9 . _ : -")
    key = key or context.new_key()
    how = f"to retry safely: agentgather {again} --client-msg-id {key}"
    api = context.api
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return api.post(draft | {"client_msg_id": key})
        except Unreachable as error:
            if not error.may_be_done or attempt == ATTEMPTS:
                raise Unreachable(f"not acknowledged: {error}; {how}") from None
        except TryLater as error:
            raise TryLater(f"not posted: {error}; {how}", error.retry_after, error.code) from None
        context.sleep(_PAUSE_SECONDS * attempt)
    raise AssertionError("the last attempt returns or raises")


def note_absent(context: Context, answer: dict[str, Any], alias: str) -> None:
    """Say so where a message names nobody: most likely the alias is misspelt."""
    message = answer["message"]
    if alias not in message["mentions"] and alias != message["from"]:
        context.say(f"nobody here is called {alias}; the message is in the room all the same")
