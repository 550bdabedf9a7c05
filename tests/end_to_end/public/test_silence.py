"""The network goes away and tells nobody: no FIN, no reset, no answer.

Both ends notice by themselves, and a laptop that slept through it is back soon after it
wakes. The same happens twice at once: in network namespaces, where the machine allows
them, and on a proxy that goes silent.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.end_to_end.public.broker import LIFTED, Broker
from tests.end_to_end.public.caddy import Caddy
from tests.end_to_end.public.curl import Answer, Curl
from tests.end_to_end.public.host import Host, pause, resume, seconds_until_there
from tests.end_to_end.public.namespaces import BROKER_ADDRESS, NoNamespaces, open_namespaces
from tests.end_to_end.public.ports import ReservedPort
from tests.end_to_end.public.silent_proxy import SilentProxy

NOTICED_SECONDS = 35
BACK_SECONDS = 15
SLACK_SECONDS = 5
"""What a busy machine may add to each of them."""
CADDY_PORT = 8443
"""In a namespace of its own, where nobody else listens."""


@dataclass
class Network:
    """A broker at ``url`` with two hosts: one is awake in the silence, one sleeps."""

    url: str
    curl: Curl
    links: Callable[[], int]
    awake: Host
    asleep: Host
    go_silent: Callable[[], None]
    come_back: Callable[[], None]


@dataclass
class Seen:
    """What was seen of a silence, in seconds from its beginning, or from its end."""

    broker_knew: float = 0
    host_knew: float = 0
    held: Answer | None = None
    afterwards: list[Answer] = field(default_factory=list)
    asleep_back: float = 0
    awake_back: float = 0
    ids: list[int] = field(default_factory=list)


def watch(network: Network) -> Seen:
    """Let it go silent, and see who notices when."""
    seen = Seen()
    for host in (network.awake, network.asleep):
        assert post(network, host, "before").status == 201
    with ThreadPoolExecutor() as beside:
        network.go_silent()
        pause(network.asleep.up)
        began = time.monotonic()
        held = beside.submit(post, network, network.awake, "into the silence")
        host_knew = beside.submit(
            seconds_until, lambda: "the broker went silent" in network.awake.said()
        )
        seen.broker_knew = seconds_until(lambda: network.links() == 0, began=began)
        seen.afterwards = [
            network.curl(f"{network.url}/{host.slug}/status", token=host.token)
            for host in (network.awake, network.asleep)
        ]
        seen.held = held.result()
        seen.host_knew = host_knew.result()
        network.come_back()
        resume(network.asleep.up)
        awake = beside.submit(there, network, network.awake)
        seen.asleep_back = there(network, network.asleep)
        seen.awake_back = awake.result()
    for host in (network.awake, network.asleep):
        answer = post(network, host, "after")
        assert answer.status == 201
        seen.ids.append(answer.json["message"]["id"])
        assert [one["text"] for one in host.log() if one["text"] == "before"] == ["before"]
    return seen


def post(network: Network, host: Host, text: str) -> Answer:
    url = f"{network.url}/{host.slug}/messages"
    body = {"text": text, "client_msg_id": text.replace(" ", "-")}
    return network.curl(url, token=host.token, body=body)


def there(network: Network, host: Host) -> float:
    url = f"{network.url}/{host.slug}"
    return seconds_until_there(network.curl, url, host.token, at_most=2 * NOTICED_SECONDS)


def seconds_until(what: Callable[[], object], *, began: float | None = None) -> float:
    began = time.monotonic() if began is None else began
    while not what():
        assert time.monotonic() - began < 2 * NOTICED_SECONDS, "nobody noticed"
        time.sleep(0.1)
    return time.monotonic() - began


def behind_a_proxy(folder: Path, stack: ExitStack) -> Network:
    ports = [stack.enter_context(ReservedPort()) for _ in range(2)]
    url = f"http://127.0.0.1:{ports[0]}"
    broker = Broker(folder, url, port=ports[0], metrics_port=ports[1], options=LIFTED)
    stack.callback(broker.end)
    broker.start()
    proxy = SilentProxy(ports[0])
    stack.callback(proxy.close)
    awake, asleep = (Host(folder / slug, slug, proxy.url, {}) for slug in ("awake", "asleep"))
    for host in (awake, asleep):
        stack.callback(host.end)
        host.opens()
    return Network(
        url, Curl({}), lambda: broker.metric("links"), awake, asleep, proxy.stall, proxy.mend
    )


def in_namespaces(folder: Path, stack: ExitStack) -> Network:
    namespaces = stack.enter_context(open_namespaces())
    at_broker = namespaces.at_broker
    caddy = Caddy(
        folder,
        port=CADDY_PORT,
        broker_port=8799,
        name=BROKER_ADDRESS,
        # A client says no name where it has an address.
        options=(f"default_sni {BROKER_ADDRESS}",),
        before=at_broker,
    )
    broker = Broker(
        folder, caddy.url, port=8799, metrics_port=9799, options=LIFTED, before=at_broker
    )
    for program in (caddy, broker):
        stack.callback(program.end)
        program.start()
    curl = Curl(caddy.trust, at_broker)
    awake, asleep = (
        Host(folder / slug, slug, caddy.url, caddy.trust, before=namespaces.at_host)
        for slug in ("awake", "asleep")
    )
    for host in (awake, asleep):
        stack.callback(host.end)
        host.opens()
    return Network(
        caddy.url,
        curl,
        lambda: broker.metric("links"),
        awake,
        asleep,
        lambda: namespaces.forward(on=False),
        lambda: namespaces.forward(on=True),
    )


KINDS = {"a proxy that goes silent": behind_a_proxy, "namespaces": in_namespaces}


@pytest.fixture(scope="module")
def silences(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Seen]]]:
    """Both, at once: each takes half a minute of waiting."""

    def run(name: str, folder: Path) -> Seen:
        with ExitStack() as stack:
            return watch(KINDS[name](folder, stack))

    folders = {name: tmp_path_factory.mktemp("silence") for name in KINDS}
    with ThreadPoolExecutor() as beside:
        yield {name: beside.submit(run, name, folder) for name, folder in folders.items()}


@pytest.mark.hostile("W09", "T16")
@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_silence_is_noticed_at_both_ends_and_ends_well(
    name: str, silences: dict[str, Future[Seen]]
) -> None:
    try:
        seen = silences[name].result()
    except NoNamespaces as error:
        pytest.skip(f"no network namespaces here, the proxy stands in: {error}")
    print(
        f"noticed at the broker after {seen.broker_knew:.0f} s, at the host after "
        f"{seen.host_knew:.0f} s; back {seen.asleep_back:.1f} s after waking, "
        f"{seen.awake_back:.1f} s for who was awake"
    )
    assert seen.broker_knew <= NOTICED_SECONDS + SLACK_SECONDS
    assert seen.host_knew <= NOTICED_SECONDS + SLACK_SECONDS
    # Who asked meanwhile was told in the end, and at once from then on.
    assert seen.held is not None
    assert (seen.held.status, seen.held.error) == (504, "host_unavailable")
    assert seen.held.seconds <= NOTICED_SECONDS + SLACK_SECONDS
    assert [answer.error for answer in seen.afterwards] == ["host_unavailable"] * 2
    assert all(answer.seconds < SLACK_SECONDS for answer in seen.afterwards)
    assert seen.asleep_back <= BACK_SECONDS + SLACK_SECONDS
    # The same room, and nothing but what was acknowledged, or asked for, is in it.
    assert seen.ids[0] in (2, 3)
    assert seen.ids[1] == 2
