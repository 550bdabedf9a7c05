"""What a server says is read as it came, and taken for no more than it is."""

import pytest

from agentgather.conformance.answer import Answer


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1", 1), ("999999999", 999_999_999), ("0", 0), ("", None), ("-1", None), ("1.5", None)]
    + [(text, None) for text in ("²", "١", "1" * 5000, "Wed, 21 Oct 2026 07:28:00 GMT", "1 ")],
)
def test_when_to_come_again_is_a_number_of_seconds_or_unknown(
    text: str, seconds: int | None
) -> None:
    assert Answer(429, (("retry-after", text),), b"", 0.0).retry_after == seconds
