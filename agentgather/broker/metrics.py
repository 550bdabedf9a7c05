"""What an operator may know of a broker: counts, sizes and durations.

Labels come from closed sets. No slug, hash or address is one: who may read this learns how
much goes on, and nothing of whom.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    generate_latest,
)

from agentgather.broker.site import OTHER, PATH_CLASSES
from agentgather.edge.answers import Answer, Send, refusal, send_answer
from agentgather.edge.bodies import Receive
from agentgather.edge.origins import LOOPBACK_NAMES, parse_authority
from agentgather.wire.errors import CODES, Rejected

# The text format that every version of Prometheus reads.
_CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

RATE_KINDS: Final = frozenset(
    {"client", "route", "strangers", "registration", "return", "handshake"}
)
REGISTRATIONS: Final = frozenset({"claimed", "returned"})
"""Results of a registration that succeeded; else it is the code of the refusal."""

_STATUS_CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
# From a request that costs nothing to a wait that is held for its 25 s.
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 26)


class _Registry(CollectorRegistry):
    """The metrics of one broker, and of no other in this process."""

    def collect(self) -> Iterator[Metric]:
        """Give all metrics, without a line for each about when it was made."""
        for metric in super().collect():
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric


class Metrics:
    """The metrics of one broker. The gauges are set by whoever knows, or asked by a function."""

    def __init__(self) -> None:
        registry = self._registry = _Registry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"agentgather_broker_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"agentgather_broker_{name}", text, registry=registry)

        self._requests = counter("requests", "Requests answered.", "path_class", "status_class")
        self._errors = counter("errors", "Requests answered with an error.", "code")
        self._seconds = Histogram(
            "agentgather_broker_request_seconds",
            "From a request's head to the end of its answer.",
            ["path_class"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._bytes = counter("bytes", "Bytes of bodies, from participants and to them.", "way")
        self._registrations = counter("registrations", "Registrations of hosts.", "result")
        self._rate_limited = counter("rate_limited", "Requests over a rate, by whose.", "kind")
        self._dropped = counter("access_log_dropped", "Lines that the access log had to drop.")
        self.waits: Final = gauge("waits_held", "Waits and event streams that are held.")
        self.streams: Final = gauge("streams_open", "Requests that are at hosts.")
        self.links: Final = gauge("links", "Hosts on a link.")
        self.older_hosts: Final = gauge("older_hosts", "Hosts that poll.")
        self.routes: Final = gauge("routes", "Routes that are active, hosts away included.")
        # Counting a request must not look up a label each time.
        self._in, self._out = self._bytes.labels("in"), self._bytes.labels("out")
        self._requests_by = {
            (kind, status): self._requests.labels(kind, status)
            for kind in sorted(PATH_CLASSES)
            for status in _STATUS_CLASSES
        }
        self._seconds_by = {kind: self._seconds.labels(kind) for kind in sorted(PATH_CLASSES)}
        ProcessCollector(registry=registry)

    def count_request(
        self,
        path_class: str,
        status: int,
        seconds: float,
        *,
        bytes_in: int = 0,
        bytes_out: int = 0,
        error: str | None = None,
    ) -> None:
        """Count a request that is over. ``status`` 0: its participant left before an answer."""
        kind = path_class if path_class in PATH_CLASSES else OTHER
        status_class = _STATUS_CLASSES[status // 100 if 100 <= status <= 599 else 0]
        self._requests_by[kind, status_class].inc()
        self._seconds_by[kind].observe(seconds)
        self._in.inc(bytes_in)
        self._out.inc(bytes_out)
        if error is not None:
            self._errors.labels(error if error in CODES else OTHER).inc()

    def count_registration(self, result: str) -> None:
        """Count a registration: one of ``REGISTRATIONS``, or the code of its refusal."""
        known = result in REGISTRATIONS or result in CODES
        self._registrations.labels(result if known else OTHER).inc()

    def count_rate_limited(self, kind: str) -> None:
        """Count a refusal of a quota."""
        self._rate_limited.labels(kind if kind in RATE_KINDS else OTHER).inc()

    def count_dropped(self, count: int) -> None:
        """Count lines that the access log had to drop."""
        self._dropped.inc(count)

    def render(self) -> bytes:
        """Give all of it as text, as Prometheus reads it."""
        return generate_latest(self._registry)


class MetricsApp:
    """An ASGI application that answers GET /metrics, to this machine alone."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def __call__(self, scope: Mapping[str, Any], _receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        elif scope["type"] == "http":
            try:
                answer = self._answer(scope)
            except Rejected as error:
                answer = refusal(error)
            await send_answer(send, answer)

    def _answer(self, scope: Mapping[str, Any]) -> Answer:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        authority = parse_authority(headers.get(b"host", b"").decode("latin-1"))
        # A page of another origin could have its own name lead to this machine.
        if authority is None or authority.name not in LOOPBACK_NAMES:
            raise Rejected("insecure_remote", "ask for the metrics at localhost")
        if b"origin" in headers:
            raise Rejected("bad_origin")
        if scope["raw_path"] != b"/metrics":
            raise Rejected("not_found")
        if scope["method"] not in ("GET", "HEAD"):
            raise Rejected("method_not_allowed", headers=((b"allow", b"GET, HEAD"),))
        return Answer(200, self._metrics.render(), _CONTENT_TYPE)


def build_metrics_app(metrics: Metrics) -> MetricsApp:
    """Give the ASGI application of a second listener, at a loopback address."""
    return MetricsApp(metrics)
