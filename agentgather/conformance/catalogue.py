"""All clauses, in the order in which they are tried."""

from typing import Final

from agentgather.conformance.chapters import message, posting, reading
from agentgather.conformance.clause import Clause

CLAUSES: Final[tuple[Clause, ...]] = (
    *message.CLAUSES,
    *posting.CLAUSES,
    *reading.CLAUSES,
)
