"""Markdown to tokens: CommonMark with tables and strikethrough, no HTML, few links."""

import re
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from agentgather.page.costs import MAX_COST_US, TooCostly, block_cost_us, line_cost_us

HREF: Final = r"(?i:https?://[a-z0-9\[]|mailto:[a-z0-9])[!#-;=?-~]*"
"""Where a link may lead, as it stands in the HTML: absolute, and ASCII without quotes."""

_COST: Final = "cost_us"
_NONCHARACTER: Final = "%EF%B7%9"
"""How a hidden space, as ``spelling.keep_hidden`` left it, would be encoded in a URL."""
_HREF: Final = re.compile(HREF)
_SCHEME: Final = re.compile(r"(?<![a-z0-9+.-])https?\Z", re.ASCII | re.IGNORECASE)
# ASCII alone: behind a URL in Chinese there is often no space.
_BARE: Final = re.compile(r"://[a-zA-Z0-9\[][!#-;=?-\[\]^_a-z{}~]*")
_SENTENCE_MARKS: Final = frozenset("?!.,:;*_~'")


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802 - markdown-it's name
        """Say whether a normalised URL may be a link; what may not stays text."""
        return _HREF.fullmatch(url) is not None and _NONCHARACTER not in url


def parse(text: str) -> tuple[list[Token], float]:
    """Give the tokens of a text whose line ends are LF, and the microseconds that are left.

    Raises:
        TooCostly: it would take too long.

    """
    cost_us = block_cost_us(text)
    if cost_us > MAX_COST_US:
        raise TooCostly
    env: dict[str, Any] = {_COST: cost_us}
    tokens = _parser.parse(text, env)
    return tokens, MAX_COST_US - env[_COST]


def _check_lines(state: StateCore) -> None:
    """Look what is left to be done once the blocks are known. Code is done."""
    contents = [token.content for token in state.tokens if token.type == "inline"]
    state.env[_COST] += line_cost_us(contents)
    if state.env[_COST] > MAX_COST_US:
        raise TooCostly


def _bare_url(state: StateInline, silent: bool) -> bool:
    """Make a link of ``https://…`` in the text."""
    if silent or state.linkLevel or not state.src.startswith("://", state.pos):
        return False
    scheme = _SCHEME.search(state.pending[-6:])
    rest = _BARE.match(state.src, state.pos, state.posMax)
    if scheme is None or rest is None:
        return False
    url = scheme[0] + _without_sentence_marks(rest[0])
    href = state.md.normalizeLink(url)
    if not state.md.validateLink(href):
        return False
    state.pending = state.pending[: -len(scheme[0])]
    opening = state.push("link_open", "a", 1)
    opening.attrs = {"href": href}
    state.push("text", "", 0).content = url
    state.push("link_close", "a", -1)
    state.pos += len(url) - len(scheme[0])
    return True


def _without_sentence_marks(url: str) -> str:
    """Leave the end of the sentence, and brackets that were opened before the URL, outside."""
    closers = {")": url.count(")") - url.count("("), "]": url.count("]") - url.count("[")}
    end = len(url)
    while True:
        last = url[end - 1]
        if closers.get(last, 0) > 0:
            closers[last] -= 1
        elif last not in _SENTENCE_MARKS:
            return url[:end]
        end -= 1


def _make_parser() -> MarkdownIt:
    parser = _Parser("commonmark", {"html": False})
    parser.enable(["table", "strikethrough"])
    # It would make U+FFFD of a NUL, which is to be shown. The line ends are LF already.
    parser.disable(["html_block", "html_inline", "normalize"])
    parser.core.ruler.after("block", "check_lines", _check_lines)
    parser.inline.ruler.after("text", "bare_url", _bare_url)
    return parser


_parser: Final = _make_parser()
