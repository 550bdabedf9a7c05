"""A base URL stands in commands that people and agents paste."""

import pytest

from agentgather.edge.origins import normalise_base_url


@pytest.mark.hostile("U06")
@pytest.mark.parametrize(
    "url",
    [
        *("http://h/$(id)", "http://h/`id`", 'http://h/";id;"', "http://h/a b", "http://h/a'b"),
        *(
            "http://h/\\",
            "http://h/a\nb",
            "http://$(id)/",
            "http://h;id/",
            "http://u@h/",
            "http://h|x",
        ),
        *(
            "http://h/a&b",
            "http://h/<x>",
            "http://h/!x",
            "http://h/{x}",
            "javascript:x",
            "h",
            "",
            "//h",
        ),
        *(
            "http://h/?x=1",
            "http://h/#x",
            "http://h:0/",
            "http://h:99999/",
            "file:///etc",
            "http://",
        ),
        *("http://[::1", "http://h:x/", "http://h/é", "http://h/%zz"),
        *("http://h/.", "http://h/./a", "http://h/a/../b", "http://h/a/.."),
    ],
)
def test_a_base_url_that_a_shell_would_read_as_more_is_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        normalise_base_url(url)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787"),
        ("https://Rooms.Example/My-Room/", "https://rooms.example/My-Room"),
        ("https://rooms.example/a/b.c_d~e", "https://rooms.example/a/b.c_d~e"),
        ("https://rooms.example/.a/..b/...", "https://rooms.example/.a/..b/..."),
        ("http://[::1]:8787/", "http://[::1]:8787"),
    ],
)
def test_a_base_url_is_kept_without_its_last_slash(url: str, normal: str) -> None:
    assert normalise_base_url(url) == normal
