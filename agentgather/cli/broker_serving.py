"""Serve a broker from the command line: one process, until a signal.

The first SIGINT, SIGTERM or SIGHUP stops it in order: held waits get their answer, hosts
are told when to come back. A second one ends the process at once. What a watchdog ends says
first, on standard error, where it was.
"""

import faulthandler
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from io import FileIO
from typing import Final

import trio

from agentgather.broker.quota import Quotas
from agentgather.broker.service import serve_broker
from agentgather.broker.settings import BrokerSettings
from agentgather.broker.state import State
from agentgather.cli.broker_state import opened_state
from agentgather.cli.context import Context
from agentgather.cli.failures import Misused
from agentgather.cli.listening import base_url_of, is_loopback, is_loopback_url, listen
from agentgather.cli.service_manager import ServiceManager
from agentgather.cli.signals import heeded, signals_deferred
from agentgather.cli.stopping import say_faults, stop_on_signal
from agentgather.edge.clients import parse_networks
from agentgather.edge.origins import normalise_base_url

METRICS_HOST: Final = "127.0.0.1"
"""No other address: whoever asks from this machine may know how much goes on."""


@dataclass(frozen=True, kw_only=True)
class BrokerServing:
    """What the command line says, as it says it. Durations are in seconds."""

    host: str
    port: int
    public_urls: tuple[str, ...]
    trusted_proxies: tuple[str, ...]
    needs_token: bool
    has_older_hosts: bool
    state_dir: str | None
    metrics_port: int
    idle_seconds: int
    lifetime_seconds: int
    allow_remote: bool
    quotas: Quotas


def serve_broker_here(context: Context, serving: BrokerServing) -> None:
    """Serve a broker. Its log goes to standard output, all else to standard error.

    Raises:
        Misused, Refused, Unreachable: it cannot be served; the text says why.

    """
    if not (is_loopback(serving.host) or serving.allow_remote):
        raise Misused(
            f"{serving.host or 'that address'} is reachable from other machines, and HTTP is not "
            "encrypted; leave --host out and put an HTTPS proxy in front, named with --public-url "
            "and --trusted-proxy, or say --allow-remote"
        )
    public_urls = _public_urls(serving)
    try:
        trusted = parse_networks(serving.trusted_proxies)
    except ValueError as error:
        raise Misused(f"--trusted-proxy: {error}") from None
    say_faults()
    faulthandler.enable()
    sockets: list[socket.socket] = []
    metrics_sockets: list[socket.socket] = []
    with opened_state(context, serving.state_dir, serving=True) as state:
        try:
            sockets += listen(serving.host, serving.port)
            if serving.metrics_port:
                metrics_sockets += listen(METRICS_HOST, serving.metrics_port)
            settings = BrokerSettings(
                base_url=base_url_of(serving.host, sockets),
                public_urls=public_urls,
                trusted_proxies=trusted,
                needs_token=serving.needs_token,
                has_older_hosts=serving.has_older_hosts,
                allow_remote=serving.allow_remote,
                idle_seconds=serving.idle_seconds,
                lifetime_seconds=serving.lifetime_seconds,
                quotas=serving.quotas,
            )
            # An exception out of a signal's handler would break Trio while it starts.
            with signals_deferred() as came:
                trio.run(
                    _serve,
                    settings,
                    sockets,
                    metrics_sockets,
                    state,
                    lambda: _say_where(context, settings),
                    context.environ,
                    came,
                )
        finally:
            for listener in (*sockets, *metrics_sockets):
                listener.close()


async def _serve(
    settings: BrokerSettings,
    sockets: list[socket.socket],
    metrics_sockets: list[socket.socket],
    state: State,
    ready: Callable[[], None],
    environ: Mapping[str, str],
    came: list[int],
) -> None:
    stop = trio.Event()
    log = FileIO(1, "wb", closefd=False)
    with trio.open_signal_receiver(*heeded()) as signals, ServiceManager(environ) as manager:
        if came:
            return
        async with trio.open_nursery() as receiving:
            receiving.start_soon(stop_on_signal, signals, stop)
            async with trio.open_nursery() as serving_hosts:
                await serving_hosts.start(
                    partial(serve_broker, settings, sockets, metrics_sockets, state, log, stop=stop)
                )
                ready()
                await manager.tell("READY=1")
                receiving.start_soon(manager.feed_watchdog)
                await stop.wait()
                await manager.tell("STOPPING=1")
            receiving.cancel_scope.cancel()


def _say_where(context: Context, settings: BrokerSettings) -> None:
    context.say(f"broker at {settings.base_url}")
    for url in settings.public_urls:
        context.say(f"rooms at {url}/NAME")
    if settings.public_urls and not settings.trusted_proxies:
        context.say(
            "warning: without --trusted-proxy, all who come through a proxy count as one client, "
            "and share its limits"
        )


def _public_urls(serving: BrokerServing) -> tuple[str, ...]:
    try:
        urls = tuple(normalise_base_url(url) for url in serving.public_urls)
    except ValueError as error:
        raise Misused(f"--public-url: {error}") from None
    for url in urls:
        if not (url.startswith("https:") or is_loopback_url(url) or serving.allow_remote):
            raise Misused(
                f"--public-url: {url} is not encrypted, and tokens would be read on the way; use "
                "https, or say --allow-remote"
            )
    return urls
