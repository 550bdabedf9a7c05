"""What ``doctor`` finds, and how it is told."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from agentgather.cli.context import Context
from agentgather.cli.failures import REFUSED
from agentgather.cli.render import one_line

_STYLE: Final = {"ok": "green", "warn": "yellow", "FAIL": "red"}


class Finding(NamedTuple):
    """One line of the report. ``result`` is ``ok``, ``warn`` or ``FAIL``."""

    result: str
    name: str
    detail: str


def report(context: Context, findings: Iterable[Finding]) -> int:
    """Print what was found, and give the exit status: 1 if anything failed."""
    findings = list(findings)
    failed = any(finding.result == "FAIL" for finding in findings)
    if context.as_json:
        context.emit({"ok": not failed, "checks": [f._asdict() for f in findings]}, "")
    else:
        for result, name, detail in findings:
            mark = context.styled(result.ljust(4), _STYLE[result])
            context.write(f"{mark} {name}: {one_line(detail)}")
        context.flush()
    return REFUSED if failed else 0
