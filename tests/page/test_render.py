"""Markdown to HTML: what becomes of what."""

import pytest

from agentgather.page.render import render_markdown
from tests.page.safety import read_safe

NAMES = frozenset({"ada", "rev", "dev-2"})


def render(text: str) -> str:
    html = render_markdown(text, NAMES)
    read_safe(html)
    return html


def mention(alias: str) -> str:
    return f'<span class="mention" data-alias="{alias}">@{alias}</span>'


def link(href: str, text: str, attributes: str = "") -> str:
    rel = 'target="_blank" rel="noopener noreferrer"'
    return f'<a{attributes} href="{href}" {rel}>{text}</a>'


IMAGE = ' class="image"'
TO_DO = '<span class="task" role="img" aria-label="to do">☐</span>'
DONE = '<span class="task" role="img" aria-label="done">☑</span>'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("", ""),
        ("one\n\ntwo", "<p>one</p><p>two</p>"),
        ("a\nb", "<p>a\nb</p>"),
        ("a\r\nb\rc", "<p>a\nb\nc</p>"),
        ("a  \nb\\\nc", "<p>a<br>b<br>c</p>"),
        ("**a** *b* _c_ __d__ ~~e~~", "<p><strong>a</strong> <em>b</em> <em>c</em> "
         "<strong>d</strong> <del>e</del></p>"),
        ("snake_case_name 2*3*4", "<p>snake_case_name 2<em>3</em>4</p>"),
        ("`a <b> *c*`", "<p><code>a &lt;b&gt; *c*</code></p>"),
        ("# a\n## b\n##### c\n###### d", "<h3>a</h3><h4>b</h4><h6>c</h6><h6>d</h6>"),
        ("a\n===", "<h3>a</h3>"),
        ("---", "<hr>"),
        ("> a\n> > b", "<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote>"),
        ("- a\n- b\n  - c", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
        ("- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"),
        ("1. a\n2. b", "<ol><li>a</li><li>b</li></ol>"),
        ("7) a", '<ol start="7"><li>a</li></ol>'),
        ("0. a", '<ol start="0"><li>a</li></ol>'),
        ("<b>a</b> & &lt; &copy; &#65;", "<p>&lt;b&gt;a&lt;/b&gt; &amp; &lt; © A</p>"),
        ("\\*a\\* \\<b\\>", "<p>*a* &lt;b&gt;</p>"),
        ("\"quotes\" 'stay'", "<p>\"quotes\" 'stay'</p>"),
    ],
)  # fmt: skip
def test_commonmark(text: str, html: str) -> None:
    assert render(text) == html


def test_a_table_may_scroll_and_is_aligned_by_class() -> None:
    assert render("|a|b|c|d|\n|-|:-|:-:|-:|\n|1|@rev|x\\|y|\n") == (
        '<div class="table"><table><thead><tr><th>a</th><th class="left">b</th>'
        '<th class="center">c</th><th class="right">d</th></tr></thead><tbody><tr><td>1</td>'
        f'<td class="left">{mention("rev")}</td><td class="center">x|y</td>'
        '<td class="right"></td></tr></tbody></table></div>'
    )


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("- [ ] a", f'<li class="task-item">{TO_DO} a</li>'),
        ("- [x] a", f'<li class="task-item">{DONE} a</li>'),
        ("- [X] **a**", f'<li class="task-item">{DONE} <strong>a</strong></li>'),
        ("- [ ] @rev", f'<li class="task-item">{TO_DO} {mention("rev")}</li>'),
        ("- [y] a", "<li>[y] a</li>"),
        ("- [x]a", "<li>[x]a</li>"),
        ("- a [x] b", "<li>a [x] b</li>"),
        ("- `[x] a`", "<li><code>[x] a</code></li>"),
        ("-", "<li></li>"),
        ("- - [ ] a", f'<li><ul><li class="task-item">{TO_DO} a</li></ul></li>'),
    ],
)
def test_tasks(text: str, item: str) -> None:
    assert render(text) == f"<ul>{item}</ul>"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("@rev", mention("rev")),
        ("@rev, @nobody and @dev-2.", f"{mention('rev')}, @nobody and {mention('dev-2')}."),
        ("a@rev a-@rev -@rev x_@rev", "a@rev a-@rev -@rev x_@rev"),
        ("@reviewer @Rev @rev-", "@reviewer @Rev @rev-"),
        ("@@rev", f"@{mention('rev')}"),
        ("*@rev*", f"<em>{mention('rev')}</em>"),
        ("x *@rev*", f"x <em>{mention('rev')}</em>"),
        ("_@rev_", "<em>@rev</em>"),
        ("`@rev`", "<code>@rev</code>"),
        ("`a`@rev", f"<code>a</code>{mention('rev')}"),
        ("@ada@rev", f"{mention('ada')}@rev"),
        ("[@rev](https://a.b/)", link("https://a.b/", mention("rev"))),
        ("@re*v*", "@re<em>v</em>"),
        ("é@rev", f"é{mention('rev')}"),
    ],
)
def test_mentions_are_those_of_the_room_s_own_rule(text: str, html: str) -> None:
    assert render(text) == f"<p>{html}</p>"


def test_code_mentions_nobody() -> None:
    assert "mention" not in render("```\n@rev\n```\n\n    @rev\n\n``@rev``")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("![alt](https://a.b/x.png)", link("https://a.b/x.png", "alt", ' class="image"')),
        ("![*a* `b`](https://a.b/)", link("https://a.b/", "a b", ' class="image"')),
        ('![](https://a.b/ "t")', link("https://a.b/", "https://a.b/", ' class="image"')),
        ("[![a](https://i.b/)](https://a.b/)", link("https://a.b/", "a")),
        ("![a]()", "a"),
    ],
)
def test_an_image_is_never_loaded(text: str, html: str) -> None:
    assert render(text) == f"<p>{html}</p>"


def test_code_has_the_classes_of_a_known_language() -> None:
    assert render("```py title=x\ndef f():\n    return 1\n```") == (
        '<pre class="code" data-language="python"><code><span class="k">def</span> '
        '<span class="nf">f</span>():\n    <span class="k">return</span> '
        '<span class="mi">1</span>\n</code></pre>'
    )
    plain = '<pre class="code"><code>a &lt; b\n</code></pre>'
    for opening in ("", "text", "nonsense", "__init__", "c++"):
        assert render(f"```{opening}\na < b\n```") == plain
    assert render("    a < b") == plain


def python(*lines: str) -> str:
    return "\n".join(("```python", *lines, "```", ""))


def keywords(text: str) -> list[int]:
    """Give how many keywords have their colour, in each block of code."""
    blocks = render(text).split('<pre class="code" data-language="python">')[1:]
    return [block.count('class="k"') for block in blocks]


RETURN = "return '" + "x" * 90 + "'"
"""A line of a hundred characters, with the line's end."""


def test_a_block_is_coloured_as_a_whole_or_not_at_all() -> None:
    assert keywords(python(*[RETURN] * 39)) == [39]
    assert keywords(python(*[RETURN] * 41)) == [0]
    # What has no colours leaves them to those behind it.
    blocks = [python(*[RETURN] * count) for count in (41, 20, 20, 10, 10, 5)]
    assert keywords("".join(blocks)) == [0, 20, 0, 10, 0, 5]


def test_lines_and_marks_leave_less_for_colours() -> None:
    code = python(*[RETURN] * 35)
    assert keywords(code) == [35]
    for prose in ("a\n" * 400, "a *b*\n\n" * 200, "- a\n" * 100):
        assert keywords(prose + "\n" + code) == [0], prose
        assert keywords(prose + "\n" + python(RETURN)) == [1]
    # The code's own lines too.
    assert keywords(python(*["return 1"] * 380)) == [380]
    assert keywords(python(*["return 1"] * 440)) == [0]


@pytest.mark.hostile("X05")
@pytest.mark.parametrize(
    ("most", "over"),
    [
        (["return " + "1" * 193], ["return " + "1" * 194]),
        (["return"] + [""] * 18 + ["return"], ["return"] + [""] * 19 + ["return"]),
        (["return", *[" \t"] * 18, "return"], ["return", *[" \t"] * 19, "return"]),
        *(
            (["return " + opener * 20], ["return " + opener * 21])
            for opener in ("/*", "<!", "<?", "''' ", '""" ', "[[", "<<", "(*", "{-", "%", "`", "$(")
        ),
        (["=begin return"] * 20, ["=begin return"] * 21),
    ],
)
def test_code_that_a_lexer_may_take_long_for_has_no_colours(
    most: list[str], over: list[str]
) -> None:
    kept = python("return 1")
    # Strings and comments may swallow the word; that there are colours is what counts.
    assert '<span class="' in render(python("return", *most))
    assert '<span class="' not in render(python(*over))
    assert keywords(kept + python(*over) + kept) == [1, 0, 1]


def hidden(names: str) -> str:
    return f'<span class="hidden-char">{names}</span>'


@pytest.mark.hostile("U05")
@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a\u202eb", f"<p>a{hidden('U+202E')}b</p>"),
        ("a\u200b\u2060b", f"<p>a{hidden('U+200B U+2060')}b</p>"),
        ("\U000e0041" * 8, f"<p>{hidden(' '.join(['U+E0041'] * 8))}</p>"),
        ("\U000e0041" * 11, f"<p>{hidden(' '.join(['U+E0041'] * 8) + ' … +3')}</p>"),
        ("\u2028a\x0b\nb ", f"<p>{hidden('U+2028')}a{hidden('U+000B')}\nb</p>"),
        ("# \x85", f"<h3>{hidden('U+0085')}</h3>"),
        ("` \u2029 `", f"<p><code>{hidden('U+2029')}</code></p>"),
        ("[a](https://a.b/\x0b)", f"<p>[a]({link('https://a.b/', 'https://a.b/')}{hidden('U+000B')})</p>"),
        ("*a*\ufdd0", '<p class="plain">*a*\ufdd0</p>'),
        ("a\x00b\x1bc", f"<p>a{hidden('U+0000')}b{hidden('U+001B')}c</p>"),
        ("a&#x202e;b", f"<p>a{hidden('U+202E')}b</p>"),
        ("`a\u202eb`", f"<p><code>a{hidden('U+202E')}b</code></p>"),
        ("```\n\u202e\n```", f'<pre class="code"><code>{hidden("U+202E")}\n</code></pre>'),
        ("@rev\u200b", f"<p>{mention('rev')}{hidden('U+200B')}</p>"),
        ("![\u202e](https://a.b/)", f"<p>{link('https://a.b/', hidden('U+202E'), IMAGE)}</p>"),
    ],
)  # fmt: skip
def test_what_nobody_sees_is_spelled(text: str, html: str) -> None:
    assert render(text) == html


def test_hidden_characters_in_coloured_code_are_spelled() -> None:
    html = render("```python\n# \u202e\u2066 if admin\n```")
    assert hidden("U+202E U+2066") in html


def test_a_text_of_marks_is_shown_as_it_was_written() -> None:
    html = render("*a_ <b> \u202e" * 2000)
    assert html.startswith('<p class="plain">*a_ &lt;b&gt; \\u{202e}*a_')


def test_the_longest_html_is_that_of_hidden_characters() -> None:
    html = render("\u2028" * 24_000)
    assert len(html) < 200_000
    assert html.startswith('<p><span class="hidden-char">')
    html = render("\u2028a" * 12_000)
    assert html == f'<p class="plain">{chr(92)}u{{2028}}' + "a\\u{2028}" * 11_999 + "a</p>"


def test_a_library_that_fails_is_told_of_and_the_text_is_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_text: str) -> None:
        raise RecursionError("deep")

    monkeypatch.setattr("agentgather.page.render.parse", fail)
    assert render("*a*") == '<p class="plain">*a*</p>'
    assert [record.message for record in caplog.records] == ["a text could not be rendered"]
