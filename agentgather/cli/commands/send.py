"""``send``: post one message to somebody."""

from typing import Any

import click

from agentgather.cli.context import Context
from agentgather.cli.failures import Misused, Unreachable
from agentgather.cli.options import SLUG, json_option
from agentgather.wire.names import is_client_msg_id

ATTEMPTS = 3
"""A lost answer is asked for again under the same key; so often, then the person decides."""

key_option = click.option(
    "--client-msg-id", metavar="KEY", help="same key, same message: safe to send again"
)


@click.command(
    short_help="post one message to somebody",
    help="Post ALIAS a message. The text is WORDS, --text, or standard input where it is `-`.",
)
@click.argument("alias", type=SLUG)
@click.argument("words", nargs=-1)
@click.option("--text", help="the text, instead of words")
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
    draft = {"text": f"@{alias} {context.text_of(words, text)}"}
    answer = post(context, draft, client_msg_id, "send " + alias)
    context.emit(answer, f"sent #{answer['message']['id']} to @{alias}")


def post(context: Context, draft: dict[str, Any], key: str | None, again: str) -> dict[str, Any]:
    """Post a draft under a key made before the first attempt, so that no attempt counts twice.

    Raises:
        Unreachable: it is not known whether the message was posted; the text has the key.

    """
    if key is not None and not is_client_msg_id(key):
        raise Misused("--client-msg-id is 1 to 128 of A-Z a-z 0-9 . _ : -")
    key = key or context.new_key()
    for attempt in range(ATTEMPTS):
        try:
            return context.api.post(draft | {"client_msg_id": key})
        except Unreachable as error:
            if attempt == ATTEMPTS - 1:
                raise Unreachable(
                    f"{error}; not acknowledged. To try again without posting twice: "
                    f"agentgather {again} … --client-msg-id {key}"
                ) from None
            context.sleep(0.2 * 2**attempt)
    raise AssertionError("the last attempt returns or raises")
