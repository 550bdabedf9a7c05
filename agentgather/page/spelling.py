"""Text as HTML, with what a reader can't see spelled out."""

import re
from html import escape
from typing import Final

from agentgather.wire.text import HIDDEN

MAX_SPELLED: Final = 8
"""Hidden characters of one run that are named; of the others the number is told."""

# Hidden characters that count as white space, which a parser takes away at the ends of
# lines. Unicode keeps noncharacters for such inside use; nothing that is written has them.
_SPACES: Final = "\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029"
_STAND_INS: Final = {ord(space): 0xFDD0 + number for number, space in enumerate(_SPACES)}
_STOOD_FOR: Final = {stand_in: space for space, stand_in in _STAND_INS.items()}

NONCHARACTER: Final = re.compile("[\ufdd0-\ufddf]")
HIDDEN_RUN: Final = re.compile(f"((?:{HIDDEN.pattern}|{NONCHARACTER.pattern})+)")


def keep_hidden(text: str) -> str:
    """Give a text that loses no hidden character in a parser; :func:`spell` knows them again."""
    return text if text.isprintable() else text.translate(_STAND_INS)


def spell(text: str) -> str:
    """Give text as HTML, each run of hidden characters as one visible span."""
    if text.isprintable():
        return escape(text, quote=False)
    parts = HIDDEN_RUN.split(text)
    parts[::2] = [escape(part, quote=False) for part in parts[::2]]
    parts[1::2] = [_spelled(run) for run in parts[1::2]]
    return "".join(parts)


def spell_short(text: str) -> str:
    r"""Give text as HTML, a hidden character as ``\u{202e}``: at most 8 characters for each.

    That is the most for a UTF-16 code unit, so 24,000 of them are at most 192,000.
    """
    return HIDDEN.sub(lambda match: f"\\u{{{ord(match[0]):x}}}", escape(text, quote=False))


def _spelled(run: str) -> str:
    codes = [_STOOD_FOR.get(ord(character), ord(character)) for character in run[:MAX_SPELLED]]
    names = " ".join(f"U+{code:04X}" for code in codes)
    more = f" … +{len(run) - MAX_SPELLED}" if len(run) > MAX_SPELLED else ""
    return f'<span class="hidden-char">{names}{more}</span>'
