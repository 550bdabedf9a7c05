"""Where a room is served while a tunnel comes and goes."""

import pytest

from agentgather.edge.origins import Served
from agentgather.wire.errors import Rejected

BASE = "http://127.0.0.1:8787"
CHOSEN = "https://rooms.example/mine"
TUNNEL = "https://broker.example/demo-x"


def is_served_at(served: Served, host: str) -> bool:
    try:
        served.base_for(host)
    except Rejected:
        return False
    return True


def test_a_tunnels_url_comes_first_while_there_is_one() -> None:
    served = Served(BASE, public_urls=(CHOSEN,))
    assert not is_served_at(served, "broker.example")
    served.set_tunnel(TUNNEL)
    assert served.public_urls == (TUNNEL, CHOSEN)
    assert served.advertised(BASE) == TUNNEL
    assert served.base_for("broker.example") == TUNNEL
    assert served.base_for("rooms.example") == CHOSEN
    assert served.strip_prefix("/demo-x/wait") == "/wait"
    served.check_origin({b"origin": b"https://broker.example"}, TUNNEL, page=False)
    served.set_tunnel(None)
    assert served.public_urls == (CHOSEN,)
    assert served.advertised(BASE) == CHOSEN
    assert not is_served_at(served, "broker.example")
    assert served.strip_prefix("/demo-x/wait") == "/demo-x/wait"
    with pytest.raises(Rejected):
        served.check_origin({b"origin": b"https://broker.example"}, BASE, page=False)


def test_a_tunnel_at_the_same_place_as_a_chosen_url_is_the_one_that_counts() -> None:
    served = Served(BASE, public_urls=(CHOSEN,))
    served.set_tunnel("https://rooms.example/demo-x")
    assert served.base_for("rooms.example") == "https://rooms.example/demo-x"


def test_a_tunnel_on_this_machine_does_not_hide_the_room_itself() -> None:
    served = Served(BASE)
    served.set_tunnel("http://127.0.0.1:8799/demo-x")
    assert served.base_for("127.0.0.1:8787") == BASE
    assert served.base_for("127.0.0.1:8799") == "http://127.0.0.1:8799/demo-x"


def test_before_a_host_is_refused_and_a_url_is_told_somebody_looks_for_a_tunnel() -> None:
    served = Served(BASE, public_urls=(CHOSEN,))
    tunnel: str | None = TUNNEL
    looks: list[str | None] = []

    def look() -> None:
        looks.append(tunnel)
        served.set_tunnel(tunnel)

    served.look = look
    assert served.base_for("broker.example") == TUNNEL
    # It moves to another name at the same broker.
    tunnel = "https://broker.example/demo-y"
    assert served.base_for("broker.example") == tunnel
    tunnel = None
    assert not is_served_at(served, "broker.example")
    assert served.advertised(BASE) == CHOSEN
    tunnel = TUNNEL
    assert served.advertised(BASE) == TUNNEL
    assert len(looks) == 5


def test_nobody_looks_for_a_request_at_a_url_that_is_no_tunnels() -> None:
    served = Served(BASE, public_urls=(CHOSEN,))

    def look() -> None:
        raise AssertionError("a hot path must read no file")

    served.look = look
    assert served.base_for("127.0.0.1:8787") == BASE
    assert served.base_for("rooms.example") == CHOSEN


def test_of_two_prefixes_the_longer_one_is_taken_off() -> None:
    for urls in (("https://h/a", "https://h/a/b"), ("https://h/a/b", "https://h/a")):
        served = Served("http://127.0.0.1:8787", public_urls=urls)
        assert served.strip_prefix("/a/b/status") == "/status"
        assert served.strip_prefix("/a/status") == "/status"
