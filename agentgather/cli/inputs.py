"""Texts that a user gives: as words, with an option, in a file, or on standard input."""

import re
from pathlib import Path
from typing import BinaryIO, Final

from agentgather.cli.context import Context
from agentgather.cli.failures import Misused
from agentgather.domain.text import is_blank, utf16_units
from agentgather.domain.tokens import is_token
from agentgather.wire.limits import MAX_TEXT_UNITS

# Four bytes hold any character, and no text of ours is longer than a message's.
_MAX_BYTES: Final = 4 * MAX_TEXT_UNITS
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def message_text(
    context: Context, words: tuple[str, ...], text: str | None, *, max_units: int, prefix: str = ""
) -> str:
    """Give ``prefix`` and the text of a message: words, an option, or stdin for ``-``.

    Raises:
        Misused: there is none, or two of them; it is blank or too long.

    """
    if text is not None and words:
        raise Misused("give the text as words or with --text, not both")
    given = text if text is not None else " ".join(words)
    if given == "-":
        given = without_last_line_end(read_stdin(context, "text"))
    if is_blank(given):
        raise Misused("the text is empty; give words, --text, or `-` for standard input")
    return prefix + checked(given, "text", max_units=max_units - len(prefix))


def optional_text(
    context: Context, text: str | None, path: str | None, what: str, *, max_units: int
) -> str | None:
    """Give a text from an option or from the file of another one; None if there is neither.

    Raises:
        Misused: both are given; the file cannot be read; it is too long.

    """
    if text is not None and path is not None:
        raise Misused(f"give the {what} as text or as a file, not both")
    if "-" in (text, path):
        text = without_last_line_end(read_stdin(context, what))
    elif path is not None:
        text = without_last_line_end(read_text_file(path, what))
    return None if text is None else checked(text, what, max_units=max_units)


def checked(text: str, what: str, *, max_units: int) -> str:
    """Refuse what no room takes.

    Raises:
        Misused: it is longer than ``max_units``, or bytes of it are no UTF-8.

    """
    if _SURROGATES.search(text):
        raise Misused(f"the {what} is not UTF-8")
    units = utf16_units(text)
    if units > max_units:
        raise Misused(
            f"the {what} has {units:,} characters (UTF-16 units), at most {max_units:,} are "
            "taken; shorten it, or put it into a file and name that"
        )
    return text


def read_stdin(context: Context, what: str) -> str:
    """Read all of standard input.

    Raises:
        Misused: it is not UTF-8, or longer than any text.

    """
    return _decoded(context.stdin, f"the {what} on standard input")


def read_text_file(path: str, what: str) -> str:
    """Read a file that the user names. It may be a pipe, as ``<(…)`` gives one.

    Raises:
        Misused: it cannot be read, is not UTF-8, or is longer than any text.

    """
    try:
        with Path(path).open("rb") as file:
            return _decoded(file, f"the {what} in {path}")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no path"
        raise Misused(f"cannot read the {what} from {path}: {reason}") from None


def given_token(context: Context, token: str | None, path: str | None, *, flag: str) -> str:
    """Give the token of ``flag``, whose ``-`` is standard input, or of the file ``flag``-file.

    Raises:
        Misused: there is none or two of them, it cannot be read, or it is no token.

    """
    if (token is None) == (path is None):
        raise Misused(f"give the token: {flag}-file FILE, or `{flag} -` for standard input")
    if path is not None:
        token = read_text_file(path, "token")
    elif token == "-":  # noqa: S105 - the name of standard input
        token = read_stdin(context, "token")
    assert token is not None
    if not is_token(token.strip()):
        raise Misused("that is no token; a token starts with agp_")
    return token.strip()


def without_last_line_end(text: str) -> str:
    """Take away the line end that editors and ``echo`` put behind the last line."""
    return text.removesuffix("\n").removesuffix("\r")


def _decoded(file: BinaryIO, what: str) -> str:
    data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise Misused(f"{what} is over {_MAX_BYTES:,} bytes, more than any room takes; shorten it")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Misused(f"{what} is not UTF-8") from None
