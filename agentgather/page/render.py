"""Markdown, as participants write it, to HTML that a page can show as it is.

Two walls that do not know of each other: :mod:`agentgather.page.writing` writes nothing
but the shapes of ``ALLOWED``, and nh3, an HTML parser, takes away whatever else it finds.

What can't be rendered well is shown as it was written, in ``<p class="plain">``: text that
is made of marks and would take long, HTML that would be long, and what a library fails on.
"""

import logging
import re
from collections.abc import Container
from typing import Final

import nh3

from agentgather.page.colours import COLOUR_US
from agentgather.page.costs import TooCostly
from agentgather.page.markdown import HREF, parse
from agentgather.page.spelling import NONCHARACTER, keep_hidden, spell_short
from agentgather.page.writing import Writer
from agentgather.wire.text import HIDDEN

logger: Final = logging.getLogger(__name__)

MAX_HTML_CHARS: Final = 200_000
"""HTML of one text. As it was written it is at most 192,000 characters and this tag's."""

_ALIGN: Final = {"class": "left|center|right"}
ALLOWED: Final[dict[str, dict[str, str]]] = {
    "a": {
        "class": "image",
        "href": HREF,
        "target": "_blank",
        "rel": "noopener noreferrer",
    },
    "blockquote": {},
    "br": {},
    "code": {},
    "del": {},
    "div": {"class": "table"},
    "em": {},
    "h3": {},
    "h4": {},
    "h5": {},
    "h6": {},
    "hr": {},
    "li": {"class": "task-item"},
    "ol": {"start": "[0-9]{1,9}"},
    "p": {"class": "plain"},
    "pre": {"class": "code", "data-language": "[a-z]{1,16}"},
    "span": {
        # The last are the highlighter's: one letter for the family, one or two for the kind.
        "class": "mention|hidden-char|task|[a-z][a-z0-9]{0,2}",
        "data-alias": "[a-z0-9][a-z0-9-]{0,63}",
        "role": "img",
        "aria-label": "to do|done",
    },
    "strong": {},
    "table": {},
    "tbody": {},
    "td": _ALIGN,
    "th": _ALIGN,
    "thead": {},
    "tr": {},
    "ul": {},
}
"""Every element that rendered text can hold, its attributes, and their values as patterns."""

# What must not be left, and a link of which the second wall took away where it leads.
_DOUBTFUL: Final = re.compile(rf"{HIDDEN.pattern}|<a (?![^>]*href=)")
_VALUES: Final = {
    (tag, name): re.compile(pattern)
    for tag, attributes in ALLOWED.items()
    for name, pattern in attributes.items()
}


def render_markdown(text: str, mentions: Container[str]) -> str:
    """Give a text as safe HTML; never raises. ``mentions`` are the aliases to mark."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isprintable() and NONCHARACTER.search(text):
        return _as_written(text)
    try:
        tokens, spare_us = parse(keep_hidden(text))
        html = _cleaner.clean(Writer(mentions, int(spare_us // COLOUR_US)).write(tokens))
    except TooCostly:
        return _as_written(text)
    except (Exception, RecursionError):
        # A bug of ours or of a library, met by a text that somebody may have made for it.
        logger.exception("a text could not be rendered")
        return _as_written(text)
    if len(html) > MAX_HTML_CHARS or _DOUBTFUL.search(html) is not None:
        return _as_written(text)
    return html


def _as_written(text: str) -> str:
    return f'<p class="plain">{spell_short(text)}</p>'


def _value(tag: str, name: str, value: str) -> str | None:
    return value if _VALUES[tag, name].fullmatch(value) else None


_cleaner: Final = nh3.Cleaner(
    tags=set(ALLOWED),
    clean_content_tags=set(),
    attributes={tag: set(attributes) for tag, attributes in ALLOWED.items()},
    attribute_filter=_value,
    url_schemes={"http", "https", "mailto"},
    link_rel=None,
)
