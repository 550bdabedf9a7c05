"""Run a broker, and end it in order.

Tasks, outermost first; each outlives those below it:

* ``noting``: the access log's writer.
* ``housekeeping``: the sweeper of routes.
* ``serving``: the metrics' server, the server for everybody, and what lets hosts go at the
  end. One task per connection is in the servers.
"""

import socket
from collections.abc import Sequence
from functools import partial

import trio

from agentgather.broker.access_log import LAST_LINES_SECONDS, RawStream, encode_line
from agentgather.broker.metrics import build_metrics_app
from agentgather.broker.settings import BrokerSettings
from agentgather.broker.state import State
from agentgather.broker.wiring import Broker
from agentgather.edge.bounds import DEFAULT_BOUNDS
from agentgather.edge.memory import settle_memory
from agentgather.edge.serve import serve_http
from agentgather.wire.limits import BROKER_DRAIN_SECONDS, MAX_FRAME_BYTES


async def serve_broker(
    settings: BrokerSettings,
    sockets: Sequence[socket.socket],
    metrics_sockets: Sequence[socket.socket],
    state: State,
    log: RawStream,
    *,
    stop: trio.Event,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a broker until ``stop``; the sockets are closed on the way out.

    At the end every held wait is answered, hosts are told when to come back, and answers in
    flight have ``BROKER_DRAIN_SECONDS``. Cancelling cuts everybody at once.

    Raises:
        StateError: the leases cannot be read.

    """
    broker = Broker(settings, state, log)
    settle_memory()
    bounds = DEFAULT_BOUNDS._replace(websocket_message_bytes=MAX_FRAME_BYTES)
    async with trio.open_nursery() as noting:
        await noting.start(broker.log.run)
        broker.log.write(encode_line("start"))
        async with trio.open_nursery() as housekeeping:
            housekeeping.start_soon(broker.sweep)
            async with trio.open_nursery() as serving:
                if metrics_sockets:
                    app = build_metrics_app(broker.metrics)
                    await serving.start(partial(serve_http, app, metrics_sockets, stop=stop))
                await serving.start(
                    partial(
                        serve_http,
                        broker.app,
                        sockets,
                        stop=stop,
                        on_stop=broker.release,
                        drain_seconds=BROKER_DRAIN_SECONDS,
                        bounds=bounds,
                    )
                )
                task_status.started()
                await stop.wait()
                await broker.let_hosts_go()
            housekeeping.cancel_scope.cancel()
        broker.log.write(encode_line("stop"))
        broker.log.close()
        noting.cancel_scope.deadline = trio.current_time() + LAST_LINES_SECONDS
