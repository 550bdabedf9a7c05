"""What an operator may know of a broker, and who may ask."""

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from agentgather.broker.metrics import RATE_KINDS, Metrics, build_metrics_app
from agentgather.broker.site import PATH_CLASSES
from agentgather.wire.errors import CODES
from tests.doubles.asgi_client import AsgiClient, Reply

PREFIX = "agentgather_broker_"


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Give every value by its name and its labels' values, in the order of their names."""
    return {
        (
            sample.name.removeprefix(PREFIX),
            tuple(value for _, value in sorted(sample.labels.items())),
        ): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_a_request_is_counted_by_class_and_status_with_its_time_and_bytes() -> None:
    metrics = Metrics()
    metrics.count_request("messages", 201, 0.004, bytes_in=30, bytes_out=200)
    metrics.count_request("wait", 429, 25.0, bytes_out=80, error="wait_limit")
    metrics.count_request("events", 0, 100.0)
    values = samples(metrics)
    assert values["requests_total", ("messages", "2xx")] == 1
    assert values["requests_total", ("wait", "4xx")] == 1
    assert values["requests_total", ("events", "none")] == 1
    assert values["requests_total", ("card", "2xx")] == 0
    assert values["errors_total", ("wait_limit",)] == 1
    assert values["bytes_total", ("in",)] == 30
    assert values["bytes_total", ("out",)] == 280
    assert values["request_seconds_count", ("wait",)] == 1
    assert values["request_seconds_bucket", ("0.005", "messages")] == 1
    assert values["request_seconds_bucket", ("10.0", "wait")] == 0
    assert values["request_seconds_bucket", ("26.0", "wait")] == 1
    assert values["request_seconds_bucket", ("26.0", "events")] == 0


def test_gauges_are_set_or_asked() -> None:
    metrics = Metrics()
    links = [1, 2, 3]
    metrics.links.set_function(lambda: len(links))
    metrics.waits.inc()
    metrics.waits.inc()
    metrics.waits.dec()
    values = samples(metrics)
    assert values["links", ()] == 3
    assert values["waits_held", ()] == 1
    assert {("streams_open", ()), ("routes", ()), ("older_hosts", ())} <= values.keys()


def test_registrations_rates_and_dropped_lines_are_counted() -> None:
    metrics = Metrics()
    metrics.count_registration("claimed")
    metrics.count_registration("route_slug_taken")
    for kind in RATE_KINDS:
        metrics.count_rate_limited(kind)
    metrics.count_dropped(7)
    values = samples(metrics)
    assert values["registrations_total", ("claimed",)] == 1
    assert values["registrations_total", ("route_slug_taken",)] == 1
    assert values["rate_limited_total", ("client",)] == 1
    assert values["access_log_dropped_total", ()] == 7


def test_a_label_is_one_of_a_closed_set_whatever_comes() -> None:
    metrics = Metrics()
    before = len(samples(metrics))
    for text in ("agp_secret", "", "/review", "x" * 100):
        metrics.count_request(text, 999, 0.1, error=text)
        metrics.count_request(text, -1, 0.1)
        metrics.count_registration(text)
        metrics.count_rate_limited(text)
    values = samples(metrics)
    assert len(values) == before + 3  # errors, registrations, rates: `other`
    labels = {label for _, given in values for label in given}
    allowed = {"in", "out", "none", "1xx", "2xx", "3xx", "4xx", "5xx", "other"}
    buckets = {label for label in labels if label.replace(".", "").isdigit() or label == "+Inf"}
    assert labels - buckets <= PATH_CLASSES | allowed


def test_all_labels_together_are_few() -> None:
    metrics = Metrics()
    for code in CODES:
        metrics.count_request("other", 400, 0.1, error=code)
        metrics.count_registration(code)
    assert len(samples(metrics)) < 1_000


def test_when_a_metric_was_made_is_not_said() -> None:
    assert b"_created" not in Metrics().render()


def test_nothing_is_kept_in_the_process_s_own_registry() -> None:
    Metrics()
    metrics = Metrics()
    metrics.count_dropped(1)
    assert samples(Metrics())["access_log_dropped_total", ()] == 0
    names = {family.name for family in REGISTRY.collect()}
    assert not any(name.startswith(PREFIX) for name in names)


def test_the_process_is_measured_too() -> None:
    assert ("process_resident_memory_bytes", ()) in samples(Metrics())


# --- Who may ask ------------------------------------------------------------------------------
class Scraper:
    def __init__(self) -> None:
        self.client = AsgiClient(build_metrics_app(Metrics()), None)

    async def ask(self, method: str = "GET", path: str = "/metrics", **headers: str) -> Reply:
        return await self.client.ask(method, path, headers={"host": "localhost:9", **headers})


async def test_metrics_are_text_that_prometheus_reads() -> None:
    reply = await Scraper().ask()
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert list(text_string_to_metric_families(reply.text))
    assert (await Scraper().ask("HEAD")).status == 200


@pytest.mark.parametrize("path", ["/", "/metrics/", "/healthz", "/Metrics"])
async def test_there_is_nothing_else(path: str) -> None:
    assert (await Scraper().ask("GET", path)).outcome == (404, "not_found")


async def test_metrics_are_read_only() -> None:
    reply = await Scraper().ask("POST")
    assert reply.outcome == (405, "method_not_allowed")
    assert reply.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9", "", "localhost:x@evil"])
async def test_a_name_that_was_rebound_gets_nothing(host: str) -> None:
    assert (await Scraper().ask(host=host)).outcome == (403, "insecure_remote")


@pytest.mark.parametrize("origin", ["null", "http://evil.example", "http://localhost:9"])
async def test_no_page_gets_anything(origin: str) -> None:
    assert (await Scraper().ask(origin=origin)).outcome == (403, "bad_origin")
