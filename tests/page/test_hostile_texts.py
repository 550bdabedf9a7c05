"""Whatever a text holds: it is safe, it is whole, and it takes no time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgather.page.colours import _LEXERS
from agentgather.page.render import render_markdown
from tests.page.hostile_texts import (
    LINKS,
    MARKUP,
    NO_LINKS,
    SHAPES,
    UNITS,
    code,
    mixtures,
    repeated,
)
from tests.page.safety import read_safe

MOST_SECONDS = 0.05
NAMES = frozenset({"ada", "a"})


def render_in_time(text: str) -> str:
    """Render, and measure the time of this thread alone; a busy machine gets several goes."""
    assert len(text.encode("utf-16-le")) // 2 <= 24_000
    seconds = []
    for _ in range(5):
        started = time.thread_time()
        html = render_markdown(text, NAMES)
        seconds.append(time.thread_time() - started)
        if seconds[-1] < MOST_SECONDS:
            return html
    raise AssertionError(f"{seconds}: {text[:60]!r}")


@pytest.mark.hostile("X01")
@pytest.mark.parametrize("text", MARKUP)
@pytest.mark.parametrize("around", ["%s", "> %s", "- %s", "# %s", "*%s*", "a [b](https://a.b/) %s"])
def test_markup_is_text(text: str, around: str) -> None:
    reader = read_safe(render_markdown(around % text, NAMES))
    # Whatever could act is still there to be read.
    for word in ("onerror=alert(1)", "onload=alert(1)", "<script>alert(1)"):
        if word in text and "```" not in text:
            assert word in reader.text


@pytest.mark.hostile("X01")
@pytest.mark.parametrize("text", NO_LINKS)
def test_what_is_no_web_or_mail_link_stays_text(text: str) -> None:
    reader = read_safe(render_markdown(text, NAMES))
    assert not [tag for tag, _ in reader.elements if tag == "a"]
    assert "x" in reader.text or "://" in reader.text or ":" in reader.text


@pytest.mark.parametrize(("text", "href"), LINKS)
def test_a_link_leads_where_it_says(text: str, href: str) -> None:
    reader = read_safe(render_markdown(text, NAMES))
    assert [attributes["href"] for tag, attributes in reader.elements if tag == "a"] == [href]


@pytest.mark.hostile("X05")
@pytest.mark.parametrize("unit", UNITS)
def test_a_repeated_mark_takes_no_time(unit: str) -> None:
    read_safe(render_in_time(repeated(unit)))


@pytest.mark.hostile("X05")
@pytest.mark.parametrize("name", SHAPES)
def test_a_deep_or_wide_text_takes_no_time(name: str) -> None:
    read_safe(render_in_time(SHAPES[name][:24_000]))


@pytest.mark.hostile("X05")
def test_mixtures_take_no_time() -> None:
    for text in mixtures(150):
        read_safe(render_in_time(text))


@pytest.mark.parametrize("language", sorted(_LEXERS))
def test_code_in_no_language_takes_time(language: str) -> None:
    render_markdown(f"```{language}\nx\n```", NAMES)  # compiles its expressions once
    for text in code(language):
        read_safe(render_in_time(text))


@pytest.mark.hostile("X01")
@given(st.lists(st.sampled_from([*UNITS, *MARKUP, *NO_LINKS, "\n", "a "]), max_size=40))
def test_any_mixture_is_safe(parts: list[str]) -> None:
    read_safe(render_markdown("".join(parts)[:24_000], NAMES))


@pytest.mark.hostile("X01")
@given(st.text(max_size=300))
def test_any_text_is_safe(text: str) -> None:
    read_safe(render_markdown(text, NAMES))
