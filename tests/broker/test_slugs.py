"""What a route may be called."""

import pytest

from agentgather.broker.slugs import RESERVED_SLUGS, check_slug
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_SLUG_CHARS


@pytest.mark.parametrize(
    "slug", ["a", "7", "review", "my-room-2", "2024", "a" * MAX_SLUG_CHARS, "agent-room", "gather"]
)
def test_a_plain_name_is_a_slug(slug: str) -> None:
    check_slug(slug)


@pytest.mark.hostile("B07")
@pytest.mark.parametrize(
    "slug",
    [
        *("", "-", "-a", "a-", "a--b", "xn--80ak6aa92e", "a" * (MAX_SLUG_CHARS + 1)),
        *("Review", "a_b", "_host", "a.b", ".well-known", "robots.txt", "favicon.ico", "a/b"),
        *("..", "a b", "a\n", "\na", "a\0", "a%2fb", "é", "а", "ａ", "a\u200b", "٣", "²"),
    ],
)
def test_what_is_no_name_is_refused(slug: str) -> None:
    with pytest.raises(Rejected, match="1 to 63") as refused:
        check_slug(slug)
    assert refused.value.code == "invalid_registration"
    assert len(slug) < 3 or slug not in refused.value.message


@pytest.mark.hostile("B07")
@pytest.mark.parametrize("slug", ["api", "assets", "healthz", "metrics", "admin", "login", "www"])
def test_what_the_broker_may_serve_itself_is_no_slug(slug: str) -> None:
    with pytest.raises(Rejected, match="keeps") as refused:
        check_slug(slug)
    assert refused.value.code == "invalid_registration"


def test_every_reserved_name_would_be_a_slug_otherwise() -> None:
    for slug in RESERVED_SLUGS:
        with pytest.raises(Rejected, match="keeps"):
            check_slug(slug)


@pytest.mark.hostile("B07")
@pytest.mark.parametrize(
    "slug",
    [
        *("agentgather", "agent-gather", "a-g-e-n-t-gather", "my-agentgather", "agentgather-help"),
        *("ag3ntgather", "4gentg4ther", "a9ent-6ather", "agen7gather", "aqentqather"),
    ],
)
def test_what_reads_as_our_own_name_is_no_slug(slug: str) -> None:
    with pytest.raises(Rejected, match="own name") as refused:
        check_slug(slug)
    assert refused.value.code == "invalid_registration"
