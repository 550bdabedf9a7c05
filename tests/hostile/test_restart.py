"""A broker is told to stop at its busiest: as many hosts and waits as an operator may have."""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bench.clients import connect, get_request, whole_answer
from tests.bench.public import LIFTED, brokered, hosted
from tests.bench.public_load import until_held

HOSTS = 500
WAITS = 1_000
STOP_SECONDS = 10
MOST_RETRY_SECONDS = 3


@pytest.mark.slow
@pytest.mark.hostile("B13")
@pytest.mark.usefixtures("many_descriptors")
def test_500_hosts_and_1000_waits_are_told_and_the_hosts_come_back(tmp_path: Path) -> None:
    state = tmp_path / "broker"
    with ExitStack() as stack:
        broker = stack.enter_context(brokered(state, *LIFTED))
        hosts = stack.enter_context(hosted(broker, HOSTS, "room"))
        hosts.until_open(HOSTS)
        waiting = [stack.enter_context(connect(broker.port)) for _ in range(WAITS)]
        for number, connection in enumerate(waiting):
            connection.sendall(get_request(broker.port, f"/room-{number % HOSTS}/wait", 1))
        until_held(broker.metrics_port, WAITS)

        broker.process.terminate()
        for connection in waiting:
            head, _, body = whole_answer(connection).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert json.loads(body)["error"] == "shutting_down"
            fields = dict(line.lower().split(b": ") for line in head.split(b"\r\n")[1:])
            assert 1 <= int(fields[b"retry-after"]) <= MOST_RETRY_SECONDS
        assert broker.process.wait(timeout=STOP_SECONDS) == 0
        hosts.until_open(0)

        stack.enter_context(
            brokered(state, *LIFTED, port=broker.port, metrics_port=broker.metrics_port)
        )
        hosts.until_open(HOSTS)
