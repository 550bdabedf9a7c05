"""All clauses, in the order in which they are tried."""

from typing import Final

from agentgather.conformance.chapters import (
    answers,
    bodies,
    broker,
    cards,
    closing,
    deadlines,
    events,
    files,
    for_me,
    framing,
    limits,
    message,
    order,
    origins,
    posting,
    reading,
    roster,
    seats,
    shape,
    state,
    tokens,
    waiting,
)
from agentgather.conformance.clause import Clause

CLAUSES: Final[tuple[Clause, ...]] = (
    *shape.CLAUSES,
    *framing.CLAUSES,
    *origins.CLAUSES,
    *bodies.CLAUSES,
    *answers.CLAUSES,
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
    *state.CLAUSES,
    *roster.CLAUSES,
    *files.CLAUSES,
    *broker.CLAUSES,
    *deadlines.CLAUSES,
    *limits.CLAUSES,
    *closing.CLAUSES,
)
