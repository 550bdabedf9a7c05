"""A public front: a broker, Caddy before it, and the hosts and agents that use them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.end_to_end.public.broker import Broker
from tests.end_to_end.public.caddy import Caddy
from tests.end_to_end.public.curl import Curl
from tests.end_to_end.public.host import Host
from tests.end_to_end.public.ports import ReservedPort
from tests.end_to_end.terminal import CurlAgent


class Front:
    """``curl`` trusts Caddy's certificate. Everything ends with the front."""

    def __init__(self, folder: Path, broker: Broker, caddy: Caddy, stack: ExitStack) -> None:
        self.broker = broker
        self.caddy = caddy
        self.url = caddy.url
        self.curl = Curl(caddy.trust)
        self.hosts: list[Host] = []
        self._folder = folder
        self._stack = stack

    def host(self, slug: str) -> Host:
        """Give a host that makes a room public here, and does not run yet."""
        folder = self._folder / f"host-{len(self.hosts)}-{slug}"
        host = Host(folder, slug, self.url, self.caddy.trust)
        self._stack.callback(host.end)
        self.hosts.append(host)
        return host

    def agent(self, host: Host, alias: str) -> CurlAgent:
        """Invite an agent, and let it fetch its card as it is told to."""
        invited = host.invite(alias)
        folder = self._folder / f"agent-{host.slug}-{alias}"
        agent = CurlAgent(folder, invited["card_command"], self.caddy.trust)
        self._stack.callback(agent.end)
        return agent

    def all_output(self) -> str:
        """Give everything that the broker and Caddy have written."""
        files = (
            self.broker.output,
            self.broker.errors,
            self.caddy.output,
            self.caddy.errors,
        )
        return "".join(file.read_text() for file in files)


@contextmanager
def open_front(folder: Path, options: str) -> Iterator[Front]:
    """Run a broker with further options, and Caddy, for the length of the block."""
    with ExitStack() as stack:
        ports = [stack.enter_context(ReservedPort()) for _ in range(3)]
        caddy = Caddy(folder, port=ports[0], broker_port=ports[1])
        stack.callback(caddy.end)
        broker = Broker(folder, caddy.url, port=ports[1], metrics_port=ports[2], options=options)
        stack.callback(broker.end)
        broker.start()
        caddy.start()
        yield Front(folder, broker, caddy, stack)
