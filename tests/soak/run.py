"""Soak the program, and print a table: `make soak`.

    python -m tests.soak.run [SECONDS]

It ends with 1 if anything was lost, failed without a reason, grew, or if others' answers
were more than twice as slow in trouble as in quiet. The table is also in artifacts/soak.txt.
"""

import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import trio

from tests.soak.report import MOST_RATIO, figures, growth_faults, ratio
from tests.soak.scenario import Soak, soak

REPOSITORY = Path(__file__).resolve().parents[2]

HOUR = 3600
MOST_CYCLES = 12
QUIET_PART = 0.3
"""Of each cycle, which is as long as it takes for twelve of them, or a minute at least."""


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else HOUR
    # Whatever ends it, the broker and the rooms end first; in the background of a shell, where
    # SIGINT is ignored, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    cycle = max(60.0, seconds / MOST_CYCLES)
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="agentgather-soak-", dir="/var/tmp") as folder:
        done = trio.run(
            partial(
                soak,
                Path(folder),
                quiet_seconds=QUIET_PART * cycle,
                troubled_seconds=(1 - QUIET_PART) * cycle,
                # One that could not be whole is not begun; one there is always.
                is_over=lambda cycles: cycles > 0 and time.monotonic() + cycle > end,
            )
        )
    text = write_report(done)
    faults = done.faults + growth_faults(done)
    if ratio(done) > MOST_RATIO:
        waited = max(part.waited for part in done.quiet)
        faults.append(
            f"others' p99 was {ratio(done):.2f} times its quiet one, which says little where the "
            f"machine has other work: in quiet the broker waited for a core for {waited:.0%} of it"
        )
    print(text, *faults, sep="\n")
    sys.exit(bool(faults))


def write_report(done: Soak) -> str:
    """Write the table to artifacts/, and give it."""
    text = "\n".join(f"{what:58} {figure}" for what, figure in figures(done)) + "\n"
    place = REPOSITORY / "artifacts"
    place.mkdir(exist_ok=True)
    (place / "soak.txt").write_text(text)
    return text


if __name__ == "__main__":
    main()
