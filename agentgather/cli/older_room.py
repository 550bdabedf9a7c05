"""What a room of 0.1.0 to 0.2.5 answers to GET /messages, made into the page that was asked for.

It gives all that came after ``since_id``, and knows neither ``limit`` nor ``before_id``. Pure.
"""

from agentgather.cli.answers import Document


def page_forward(whole: Document, limit: int | None) -> Document:
    """Give the first ``limit`` messages of what it gave."""
    messages = whole["messages"]
    page = messages[:limit]
    has_more = len(page) < len(messages)
    next_since_id = page[-1]["id"] if has_more else whole["next_since_id"]
    return whole | {"messages": page, "next_since_id": next_since_id, "has_more": has_more}


def page_backward(whole: Document, before_id: int, limit: int) -> Document:
    """Give the last ``limit`` messages of those before ``before_id``."""
    messages = [message for message in whole["messages"] if message["id"] < before_id]
    page = messages[-limit:]
    return whole | {"messages": page, "has_more_before": len(page) < len(messages)}
