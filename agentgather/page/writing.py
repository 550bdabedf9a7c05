"""Tokens to HTML, in the few shapes that the page knows.

There is no line end in it but those that are to be seen: the page shows text ``pre-line``.
"""

import re
from collections.abc import Container, Sequence
from html import escape
from typing import Final

from markdown_it.token import Token

from agentgather.page.colours import MAX_COLOURED_CHARS, colour, is_colourable, language_of
from agentgather.page.markdown import HREF
from agentgather.page.spelling import spell
from agentgather.wire.text import MENTION

_PLAIN: Final = {
    "blockquote_open": "<blockquote>",
    "blockquote_close": "</blockquote>",
    "bullet_list_open": "<ul>",
    "bullet_list_close": "</ul>",
    "ordered_list_close": "</ol>",
    "list_item_close": "</li>",
    "hr": "<hr>",
    "table_open": '<div class="table"><table>',
    "table_close": "</table></div>",
    "thead_open": "<thead>",
    "thead_close": "</thead>",
    "tbody_open": "<tbody>",
    "tbody_close": "</tbody>",
    "tr_open": "<tr>",
    "tr_close": "</tr>",
    "th_close": "</th>",
    "td_close": "</td>",
}
_WITHIN_LINE: Final = {
    "em_open": "<em>",
    "em_close": "</em>",
    "strong_open": "<strong>",
    "strong_close": "</strong>",
    "s_open": "<del>",
    "s_close": "</del>",
    "softbreak": "\n",
    "hardbreak": "<br>",
}
_TASK: Final = re.compile(r"\[([ xX])\](?=\s|\Z)")
_TO_DO: Final = '<span class="task" role="img" aria-label="to do">☐</span>'
_DONE: Final = '<span class="task" role="img" aria-label="done">☑</span>'
_HREF: Final = re.compile(HREF)
_LOWEST_HEADING: Final = 6
_HEADINGS_DOWN: Final = 2


class Writer:
    """Writes the tokens of one text.

    ``mentions`` are the aliases that count as such; ``colour_chars`` of code get colours.
    """

    def __init__(self, mentions: Container[str], colour_chars: int) -> None:
        self._mentions = mentions
        self._colour_chars = min(colour_chars, MAX_COLOURED_CHARS)
        self._html: list[str] = []
        self._before = ""
        """The source's character before what is written next, for what a mention is."""
        self._link_ends: list[str] = []

    def write(self, tokens: Sequence[Token]) -> str:
        """Give the HTML."""
        html = self._html
        task: str | None = None
        for index, token in enumerate(tokens):
            kind = token.type
            if kind == "inline":
                self._write_line(token.children or [], task)
                task = None
            elif kind in _PLAIN:
                html.append(_PLAIN[kind])
            elif kind in ("paragraph_open", "paragraph_close"):
                # A tight list's paragraphs are there, and not to be seen.
                if not token.hidden:
                    html.append("<p>" if token.nesting > 0 else "</p>")
            elif kind == "list_item_open":
                task = _task(tokens[index + 1 : index + 3])
                html.append("<li>" if task is None else '<li class="task-item">')
            elif kind == "ordered_list_open":
                start = token.attrs.get("start")
                html.append("<ol>" if start is None else f'<ol start="{int(start)}">')
            elif kind in ("heading_open", "heading_close"):
                level = min(_LOWEST_HEADING, int(token.tag[1:]) + _HEADINGS_DOWN)
                html.append(f"<h{level}>" if token.nesting > 0 else f"</h{level}>")
            elif kind in ("th_open", "td_open"):
                align = str(token.attrs.get("style", "")).removeprefix("text-align:")
                html.append(f'<{token.tag} class="{align}">' if align else f"<{token.tag}>")
            elif kind in ("fence", "code_block"):
                html.append(self._code(token))
            else:
                raise ValueError(f"a token of the kind {kind}")
        return "".join(html)

    def _write_line(self, children: Sequence[Token], task: str | None) -> None:
        html = self._html
        self._before = ""
        for index, token in enumerate(children):
            kind = token.type
            if kind == "text":
                text = token.content
                if index == 0 and task is not None:
                    html.append(task)
                    text = text[3:]
                self._write_text(text)
            elif kind in _WITHIN_LINE:
                html.append(_WITHIN_LINE[kind])
                self._before = token.markup[-1:]
            elif kind == "code_inline":
                html.append(f"<code>{spell(token.content)}</code>")
                self._before = "`"
            elif kind == "link_open":
                self._open_link(token, is_empty=children[index + 1].type == "link_close")
            elif kind == "link_close":
                html.append(self._link_ends.pop())
                self._before = ")"
            elif kind == "image":
                self._write_image(token)
                self._before = ")"
            else:
                raise ValueError(f"a token of the kind {kind}")

    def _write_text(self, text: str) -> None:
        html, before = self._html, self._before
        self._before = text[-1:] or before
        if "@" not in text:
            html.append(spell(text))
            return
        text = before + text
        start = len(before)
        for match in MENTION.finditer(text, start):
            if match[1] in self._mentions:
                html.append(spell(text[start : match.start()]))
                html.append(f'<span class="mention" data-alias="{match[1]}">{match[0]}</span>')
                start = match.end()
        html.append(spell(text[start:]))

    def _open_link(self, token: Token, *, is_empty: bool) -> None:
        opening, closing = _link(str(token.attrs.get("href", "")))
        self._html.append(opening)
        self._link_ends.append(closing)
        self._before = "["
        if is_empty and opening:
            self._html.append(spell(str(token.attrs["href"])))

    def _write_image(self, token: Token) -> None:
        source = str(token.attrs.get("src", ""))
        text = spell(_plain(token.children or []) or source)
        # Never loaded: it would tell its server who reads when. Links do not nest.
        opening, closing = ("", "") if self._link_ends else _link(source, ' class="image"')
        self._html.append(f"{opening}{text}{closing}")

    def _code(self, token: Token) -> str:
        words = token.info.split(maxsplit=1) if token.type == "fence" else []
        language = language_of(words[0]) if words else ""
        if not language:
            return f'<pre class="code"><code>{spell(token.content)}</code></pre>'
        if len(token.content) <= self._colour_chars and is_colourable(token.content):
            self._colour_chars -= len(token.content)
            code = colour(token.content, language)
        else:
            code = spell(token.content)
        return f'<pre class="code" data-language="{language}"><code>{code}</code></pre>'


def _link(href: str, attributes: str = "") -> tuple[str, str]:
    if _HREF.fullmatch(href) is None:
        return "", ""
    # A new tab, which can't reach back into the room, and isn't told where it comes from.
    rel = 'target="_blank" rel="noopener noreferrer"'
    return f'<a{attributes} href="{escape(href)}" {rel}>', "</a>"


def _plain(children: Sequence[Token]) -> str:
    return "".join(
        _plain(token.children)
        if token.children
        else token.content or "\n" * ("break" in token.type)
        for token in children
    )


def _task(ahead: Sequence[Token]) -> str | None:
    """Say how a list's item begins, if it is a task's."""
    if len(ahead) < 2 or ahead[0].type != "paragraph_open":
        return None
    children = ahead[1].children or []
    if not children or children[0].type != "text":
        return None
    match = _TASK.match(children[0].content)
    if match is None:
        return None
    return _TO_DO if match[1] == " " else _DONE
