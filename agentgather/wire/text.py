"""What the contract says of text: which characters are hidden, and what a mention is."""

import re
from typing import Final

# What is drawn as nothing, or changes what is drawn around it: C0 and C1 controls but
# tab and line ends, soft hyphen, zero-width and bidi controls, invisible operators, the
# byte-order mark, variation selectors, and the tag block, which spells whole sentences.
# Sources: Unicode 15 general category Cf, UTS 39 section 3, UAX 9.
HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0"
    "\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""One character that a reader can't see: what ``hidden_chars`` of a message tells of."""

# ASCII on purpose: an alias is ASCII, and `\w` is what it is in JavaScript.
MENTION: Final = re.compile(r"(?<![\w-])@([a-z0-9-]+)", re.ASCII)
"""``@alias`` outside of code. It counts if the whole run is an alias of the room."""
