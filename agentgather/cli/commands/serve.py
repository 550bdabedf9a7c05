"""``room serve``: serve the selected room until told to stop."""

import click

from agentgather.cli.context import Context
from agentgather.cli.options import json_option
from agentgather.wire.limits import MAX_LOG_MESSAGES

port_option = click.option("--port", type=click.IntRange(0, 65535), default=8787, show_default=True)
max_messages_option = click.option(
    "--max-messages",
    type=click.IntRange(1),
    default=MAX_LOG_MESSAGES,
    show_default=True,
    help="how many messages the log may hold",
)


@click.command(
    short_help="serve the selected room",
    help="Serve the selected room until Ctrl-C or SIGTERM. A second signal ends it at once.",
)
@port_option
@click.option("--host", default="127.0.0.1", show_default=True, help="the address to listen on")
@click.option("--url", multiple=True, help="a further URL that the room is reached at")
@click.option("--allow-remote", is_flag=True, help="listen beyond this machine, unencrypted")
@max_messages_option
@json_option
@click.pass_obj
def serve(
    context: Context,
    port: int,
    host: str,
    url: tuple[str, ...],
    allow_remote: bool,
    max_messages: int,
) -> int:
    """Serve a room."""
    # Here, because only serving needs Trio and the server: 300 ms of import.
    from agentgather.cli.serving import Serving, serve_seat

    seat = context.seat()
    serving = Serving(
        port=port, host=host, urls=url, allow_remote=allow_remote, max_messages=max_messages
    )

    def ready(base_url: str) -> None:
        document = {"ok": True, "room": seat.roomId, "url": base_url}
        context.emit(document, f"Serving {seat.roomId} at {base_url}")

    return serve_seat(context, seat, serving, ready)
