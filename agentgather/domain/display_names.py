"""Display names, and when two of them look alike.

Two names clash when their skeletons are equal: compatibility forms folded, marks and
case taken away, and letters of other scripts that are drawn like Latin ones replaced by
those. The table holds the single letters of Unicode's confusables.txt (UTS 39) that
Cyrillic, Greek, Armenian and Cherokee keyboards can type.
"""

import re
import unicodedata
from typing import Final

from agentgather.domain.text import utf16_units
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_DISPLAY_NAME_CHARS
from agentgather.wire.names import RESERVED_ALIASES
from agentgather.wire.text import HIDDEN

# Not the separators U+001C to U+001F, which `\s` takes for space.
_SPACE: Final = re.compile(r"[^\S\x1c-\x1f]+")
_DRAWN_LIKE: Final = {
    "a": "\u0430\u03b1\u0251\u13aa",  # Cyrillic a, alpha, script a, Cherokee go
    "b": "\u0432\u044c\u03b2\u13cf",
    "c": "\u0441\u03f2\u1d04",
    "d": "\u0501\u13e7",
    "e": "\u0435\u03b5\u04bd\u212e",
    "g": "\u0261\u0581\u050d",
    "h": "\u043d\u04bb\u0570\u13c2",
    "j": "\u0458\u03f3",
    "k": "\u043a\u03ba",
    # A capital I, a small l, a one and a bar are one stroke in most faces.
    "l": "i1|\u0131\u0456\u0457\u03b9\u0269\u04cf\u04c0\u0406\u01c0\u05d5\u05df",
    "m": "\u043c",
    "n": "\u043f\u03b7\u0578\u057c",
    "o": "0\u043e\u03bf\u03c3\u0585\u05e1\u0665\u06f5\u0966",
    "p": "\u0440\u03c1",
    "q": "\u051b\u0566",
    "r": "\u0433\u1d26",
    "s": "\u0455\ua731",
    "t": "\u0442\u03c4",
    "u": "\u03c5\u057d\u028b",
    "v": "\u03bd\u0475",
    "w": "\u051d\u03c9\u0461\u0561",
    "x": "\u0445\u03c7",
    "y": "\u0443\u03b3\u04af\u028f",
    "z": "\u1d22",
}
_LOOKS_LIKE: Final = str.maketrans(
    {letter: latin for latin, letters in _DRAWN_LIKE.items() for letter in letters}
)
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def parse_display_name(text: str, *, own_alias: str) -> str:
    """Trim a display name and collapse its inner space.

    Everybody may be called by their own alias, so a host ``host`` may be ``Host``.

    Raises:
        Rejected: ``invalid_display_name`` or ``reserved_name``.

    """
    name = _SPACE.sub(" ", text).strip(" ")
    if HIDDEN.search(name) or any(unicodedata.category(c) in _UNSEEN for c in name):
        raise Rejected("invalid_display_name", "a name cannot hold characters that nobody sees")
    if not name or utf16_units(name) > MAX_DISPLAY_NAME_CHARS:
        raise Rejected("invalid_display_name")
    if not skeleton(name):
        raise Rejected("invalid_display_name", "a name needs a letter, digit or symbol")
    if skeleton(name) in _RESERVED - {skeleton(own_alias)}:
        raise Rejected("reserved_name")
    return name


def skeleton(name: str) -> str:
    """Give what a name looks like. Equal skeletons can't be told apart at a glance."""
    decomposed = unicodedata.normalize("NFKD", name).casefold()
    seen = "".join(
        c for c in decomposed if not unicodedata.combining(c) and unicodedata.category(c) != "Cf"
    )
    return _SPACE.sub("", seen.translate(_LOOKS_LIKE))


_RESERVED: Final = frozenset(skeleton(alias) for alias in RESERVED_ALIASES)
