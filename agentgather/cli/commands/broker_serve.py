"""``broker serve``: run a public relay until told to stop."""

from collections.abc import Callable
from typing import Any, Final

import click

from agentgather.broker.quota import Quotas
from agentgather.cli.commands.broker_token import state_dir_option
from agentgather.cli.context import Context
from agentgather.cli.failures import Misused
from agentgather.cli.options import (
    COUNT,
    DURATION,
    PORT,
    WholeNumber,
    host_option,
    port_option,
)
from agentgather.wire.limits import MAX_STREAMS, ROUTE_IDLE_SECONDS, ROUTE_LIFETIME_SECONDS

_DEFAULTS: Final = Quotas()
_STREAMS: Final = WholeNumber(1, MAX_STREAMS)


def _quota(field: str, help: str, kind: WholeNumber = COUNT) -> Callable[[Any], Any]:  # noqa: A002 - click's word
    """Add the option that sets a field of the quotas."""
    return click.option(
        "--" + field.replace("_", "-"),
        type=kind,
        default=getattr(_DEFAULTS, field),
        show_default=True,
        metavar="N",
        help=help,
    )


@click.command(
    short_help="run a broker",
    help="""Run a broker until Ctrl-C, SIGTERM or SIGHUP, which end it in order, with exit status
0: held waits are answered, hosts are told when to come back. A second signal ends it at once,
with 130, 143 or 129. Nothing is reloaded by a signal; start it again for that.

It listens on this machine alone. Put an HTTPS proxy in front:

\b
  agentgather broker serve --public-url https://rooms.example --trusted-proxy loopback

One JSON line for each request goes to standard output, with no address, token, path or text in
it. What is kept on disk is whose a name is, as hashes, in the state directory.
""",
)
@host_option
@port_option(8799)
@click.option(
    "--public-url",
    multiple=True,
    metavar="URL",
    help="where participants reach it; repeatable, hosts are told the first",
)
@click.option(
    "--trusted-proxy",
    multiple=True,
    metavar="NET",
    help="an address or network whose X-Forwarded-For counts, or `loopback`; repeatable",
)
@click.option(
    "--registration",
    type=click.Choice(("open", "token")),
    default="open",
    show_default=True,
    help="who may register: anybody, or who has a token of `broker token add`",
)
@click.option(
    "--legacy-hosts",
    type=click.Choice(("on", "off")),
    default="on",
    show_default=True,
    help="whether hosts of versions 0.1.0 to 0.2.5 may attach",
)
@state_dir_option
@click.option(
    "--metrics-port",
    type=PORT,
    default=0,
    show_default=True,
    help="serve Prometheus' /metrics here, to this machine alone; 0 does not",
)
@click.option(
    "--max-lifetime",
    type=DURATION,
    default=f"{ROUTE_LIFETIME_SECONDS // 3600}h",
    show_default=True,
    help="how long a room may be published",
)
@click.option(
    "--idle",
    type=DURATION,
    default=f"{ROUTE_IDLE_SECONDS // 60}m",
    show_default=True,
    help="how long a name stays its host's without a connection",
)
@click.option("--allow-remote", is_flag=True, help="listen beyond this machine, unencrypted")
@_quota("client_requests", "requests a minute of one address, until a host has accepted its token")
@_quota("route_requests", "requests a minute to one room")
@_quota("routes_per_client", "rooms that one address may publish at once")
@_quota("registrations_per_client", "new names an hour of one address, and failed attempts")
@_quota("streams_per_route", "requests of one room at once", _STREAMS)
@_quota("waits_per_route", "held waits and event streams among them", _STREAMS)
@click.pass_obj
def serve(
    context: Context,
    /,
    host: str,
    port: int,
    public_url: tuple[str, ...],
    trusted_proxy: tuple[str, ...],
    registration: str,
    legacy_hosts: str,
    state_dir: str | None,
    metrics_port: int,
    max_lifetime: int,
    idle: int,
    allow_remote: bool,
    **quotas: int,
) -> None:
    """Serve a broker."""
    # Here, because only serving needs Trio, the server and the metrics: 300 ms of import.
    from agentgather.cli.broker_serving import BrokerServing, serve_broker_here

    if quotas["waits_per_route"] >= quotas["streams_per_route"]:
        raise Misused(
            "--waits-per-route must be below --streams-per-route, or held waits leave no place "
            "for a post"
        )
    serve_broker_here(
        context,
        BrokerServing(
            host=host,
            port=port,
            public_urls=public_url,
            trusted_proxies=trusted_proxy,
            needs_token=registration == "token",
            has_older_hosts=legacy_hosts == "on",
            state_dir=state_dir,
            metrics_port=metrics_port,
            idle_seconds=idle,
            lifetime_seconds=max_lifetime,
            allow_remote=allow_remote,
            quotas=Quotas(**quotas),
        ),
    )
