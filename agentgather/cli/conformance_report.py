"""How a conformance run tells what comes of each clause."""

from typing import Any, Final

import trio

from agentgather.cli.context import Context
from agentgather.cli.failures import REFUSED, OutputClosed
from agentgather.cli.render import one_line
from agentgather.conformance.clause import Clause, Stage
from agentgather.conformance.run import Outcome, Result

_MARK: Final[dict[Outcome, tuple[str, str]]] = {
    "passed": ("ok", "green"),
    "failed": ("FAIL", "red"),
    "skipped": ("skip", "yellow"),
}
_CLEAR: Final = "\r\x1b[K"


class Progress:
    """Says on a terminal how far it is, and keeps what came of each clause.

    Who cancels ``scope`` ends the run; ``fault`` is what has ended it before its end.
    """

    def __init__(self, context: Context, count: int) -> None:
        self.scope = trio.CancelScope()
        self.fault: Exception | None = None
        self.results: list[Result] = []
        self._context = context
        self._count = count
        self._is_shown = context.stderr.isatty() and not context.as_json

    def begin(self, clause: Clause) -> None:
        """Say what is tried."""
        if self._is_shown:
            self._draw(f"{len(self.results)}/{self._count} {clause.name}")

    def end(self, result: Result) -> None:
        """Print at once what is not kept, so that nobody waits for the end to see it."""
        self.results.append(result)
        if self._context.as_json or result.outcome == "passed":
            return
        self.clear()
        mark, style = _MARK[result.outcome]
        shown = self._context.styled(mark.ljust(4), style)
        line = f"{shown} {result.clause.name}: {one_line(result.detail)}"
        try:
            self._context.write(f"{line} (spec/{result.clause.said})")
            self._context.flush()
        except (OutputClosed, OSError) as error:
            # Nobody reads it, but the seats are to be removed.
            self.fault = error
            self.scope.cancel()

    def say(self, text: str) -> None:
        """Say why nothing seems to happen."""
        if self._is_shown:
            self._draw(text)

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            self._draw("")

    def _draw(self, text: str) -> None:
        self._context.stderr.write(f"{_CLEAR}{text}")
        self._context.stderr.flush()


def report_results(context: Context, url: str, results: list[Result]) -> int:
    """Print what came of all, and give the exit status."""
    counts: dict[str, int] = {
        outcome: sum(r.outcome == outcome for r in results) for outcome in _MARK
    }
    is_kept = not counts["failed"]
    clauses = [
        {**plain_clause(one.clause), "result": one.outcome, "detail": one.detail} for one in results
    ]
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    context.emit(
        {"ok": is_kept, "url": url, **counts, "clauses": clauses},
        f"{'kept' if is_kept else 'NOT kept'}: {told}",
    )
    return 0 if is_kept else REFUSED


def plain_clause(clause: Clause) -> dict[str, Any]:
    """Give a clause as it is in JSON."""
    return {
        "clause": clause.name,
        "said": f"spec/{clause.said}",
        "checks": clause.checks,
        "needs_close": clause.stage is Stage.CLOSING,
    }
