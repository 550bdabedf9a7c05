"""Reads rendered text as a browser does, and holds it to the list of what it may hold."""

import re
from html.parser import HTMLParser

from agentgather.page.render import ALLOWED, MAX_HTML_CHARS
from agentgather.wire.text import HIDDEN

VOID = {"br", "hr"}


class Reader(HTMLParser):
    """Keeps the elements, the attributes and the text of a document."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        assert len(attributes) == len(attrs), "an attribute twice"
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl!r}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"an instruction: {data!r}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data!r}")


def read_safe(html: str) -> Reader:
    """Read rendered text. It fails on whatever is not allowed."""
    assert len(html) <= MAX_HTML_CHARS
    assert HIDDEN.search(html) is None
    assert "\r" not in html
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    inside_link = 0
    for tag, attributes in reader.elements:
        assert tag in ALLOWED, tag
        inside_link += tag == "a"
        for name, value in attributes.items():
            assert name in ALLOWED[tag], (tag, name)
            assert re.fullmatch(ALLOWED[tag][name], value), (tag, name, value)
        if tag == "a":
            assert attributes["target"] == "_blank"
            assert attributes["rel"] == "noopener noreferrer"
            assert re.match(r"(?i)(https?://|mailto:)", attributes["href"])
    return reader
