"""All clauses, in the order in which they are tried."""

from typing import Final

from agentgather.conformance.chapters import (
    bodies,
    cards,
    events,
    for_me,
    message,
    order,
    origins,
    posting,
    reading,
    seats,
    shape,
    tokens,
    waiting,
)
from agentgather.conformance.clause import Clause

CLAUSES: Final[tuple[Clause, ...]] = (
    *shape.CLAUSES,
    *origins.CLAUSES,
    *bodies.CLAUSES,
    *tokens.CLAUSES,
    *order.CLAUSES,
    *message.CLAUSES,
    *posting.CLAUSES,
    *reading.CLAUSES,
    *waiting.CLAUSES,
    *for_me.CLAUSES,
    *events.CLAUSES,
    *seats.CLAUSES,
    *cards.CLAUSES,
)
