"""What a broker answers by itself."""

import pytest

from agentgather.broker.site import (
    OTHER,
    PATH_CLASSES,
    is_page,
    is_wait,
    own_answer,
    page_answer,
    path_class,
)
from agentgather.edge.answers import Answer
from agentgather.page.files import ASSETS, PAGE
from agentgather.server.routes import ROUTES
from agentgather.wire.errors import Rejected

NO_STORE = (b"cache-control", b"no-store")
NO_CACHE = (b"cache-control", b"no-cache")


def own(path: bytes, method: str = "GET") -> Answer:
    answer = own_answer(method, path, None)
    assert answer is not None
    return answer


def page(path: bytes, if_none_match: bytes | None = None, method: str = "GET") -> Answer:
    answer = page_answer(method, path, if_none_match)
    assert answer is not None
    return answer


# --- The broker's own -------------------------------------------------------------------------
def test_the_root_says_what_this_is_and_nothing_that_changes() -> None:
    answer = own(b"/")
    assert (answer.status, answer.content_type) == (200, b"text/plain; charset=utf-8")
    assert answer.headers == (NO_STORE,)
    assert not any(digit in answer.body for digit in b"0123456789")


def test_healthz_says_ok_and_nothing_else() -> None:
    assert own(b"/healthz").body == b'{"ok":true}\n'


def test_robots_are_sent_away() -> None:
    assert own(b"/robots.txt").body == b"User-agent: *\nDisallow: /\n"


def test_the_icon_is_the_page_s() -> None:
    answer = own(b"/favicon.ico")
    assert answer.body == ASSETS["icon.svg"].body
    assert answer.content_type == b"image/svg+xml"
    again = own_answer("GET", b"/favicon.ico", ASSETS["icon.svg"].etag)
    assert again is not None
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path", [b"/review", b"/review/", b"/healthz/", b"/_host/link", b"//", b""]
)
def test_every_other_path_is_not_the_broker_s_own(path: bytes) -> None:
    assert own_answer("GET", path, None) is None
    assert own_answer("POST", path, None) is None


@pytest.mark.parametrize("path", [b"/", b"/healthz", b"/robots.txt", b"/favicon.ico"])
def test_what_the_broker_serves_is_read_only(path: bytes) -> None:
    assert own(path, "HEAD") == own(path)
    for method in ("POST", "PUT", "OPTIONS"):
        with pytest.raises(Rejected) as refused:
            own_answer(method, path, None)
        assert refused.value.code == "method_not_allowed"
        assert refused.value.headers == ((b"allow", b"GET, HEAD"),)


# --- The page ---------------------------------------------------------------------------------
def test_the_page_is_the_one_that_a_room_serves() -> None:
    answer = page(b"/")
    assert answer == Answer(200, PAGE.body, PAGE.content_type, (NO_STORE,))
    assert page(b"/", PAGE.etag).status == 200


def test_every_asset_is_there_and_who_has_it_is_not_sent_it_again() -> None:
    for name, file in ASSETS.items():
        path = b"/assets/" + name.encode()
        headers = (NO_CACHE, (b"etag", file.etag))
        assert page(path) == Answer(200, file.body, file.content_type, headers)
        assert page(path, b'"x"') == page(path)
        assert page(path, file.etag) == Answer(304, b"", file.content_type, headers)


@pytest.mark.parametrize(
    "name",
    [b"", b"x.js", b"../index.html", b"%2e%2e/index.html", b"main.js/", b"main.js%00", b"MAIN.JS"],
)
def test_an_asset_that_is_not_there_is_not_found_and_no_host_is_asked(name: bytes) -> None:
    with pytest.raises(Rejected) as refused:
        page_answer("GET", b"/assets/" + name, None)
    assert refused.value.code == "not_found"


@pytest.mark.parametrize("path", [b"/messages", b"/wait", b"/assets", b"//", b"/index.html"])
def test_everything_else_is_the_host_s(path: bytes) -> None:
    assert page_answer("GET", path, None) is None
    assert page_answer("POST", path, None) is None


@pytest.mark.parametrize("path", [b"/", b"/assets/main.js"])
def test_the_page_is_read_only(path: bytes) -> None:
    assert page(path, method="HEAD") == page(path)
    with pytest.raises(Rejected) as refused:
        page_answer("POST", path, None)
    assert refused.value.code == "method_not_allowed"


# --- What may be said of a path ---------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"/", "shell"),
        (b"/assets/main.js", "asset"),
        (b"/assets/", "asset"),
        (b"/messages", "messages"),
        (b"/wait", "wait"),
        (b"/events", "events"),
        (b"/participants", "participants"),
        (b"/participants/ada/remove", "participants"),
        (b"/attendance", "attendance"),
        (b"/export", OTHER),
        (b"/wait/", OTHER),
        (b"/messages/secret", OTHER),
        (b"/secret", OTHER),
        (b"//", OTHER),
        (b"", OTHER),
        (b"/wait%2f", OTHER),
        (b"/\xff", OTHER),
    ],
)
def test_a_path_is_named_by_its_class(path: bytes, kind: str) -> None:
    assert path_class(path) == kind
    assert kind in PATH_CLASSES


def test_every_class_of_the_contract_is_there_and_every_route_has_one() -> None:
    classes = (
        "shell asset brief attendance status messages wait events card profile join leave close "
        "participants other"
    )
    assert sorted(PATH_CLASSES) == sorted(classes.split())
    unnamed = {route.path for route in ROUTES if path_class(route.path.encode()) == OTHER}
    assert unnamed == {"/healthz", "/preview", "/activity", "/export", "/loop-guard"}


def test_waits_and_streams_are_known_by_their_path() -> None:
    assert is_wait(b"/wait")
    assert is_wait(b"/events")
    assert not is_wait(b"/wait/")
    assert not is_wait(b"/messages")


def test_the_page_is_known_by_its_path() -> None:
    assert is_page(b"/")
    assert is_page(b"/assets/x")
    assert not is_page(b"/assets")
    assert not is_page(b"/messages")
