"""What becomes of a request whose application fails: one answer, and nobody else notices."""

import logging
from collections.abc import Awaitable

from agentgather.edge.answers import Answer, refusal
from agentgather.edge.bodies import ClientLeft
from agentgather.wire.errors import Rejected


async def contain(
    answering: Awaitable[Answer | None], logger: logging.Logger
) -> tuple[Answer | None, str | None]:
    """Give an answer, or the refusal in its place with its code.

    None where it was sent already, or where nobody is left to read it.
    """
    try:
        return await answering, None
    except ClientLeft:
        return None, None
    except Rejected as error:
        return refusal(error), error.code
    except Exception:
        # A bug. It ends this request and no other, and its text stays here.
        logger.exception("a request failed")
        return refusal(Rejected("internal_error")), "internal_error"
