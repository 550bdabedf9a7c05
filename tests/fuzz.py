"""Look further than the suite does: what draws by chance, with other seeds, for so long.

    python tests/fuzz.py 600 [pytest's arguments]

Each round runs every property test, state machine and random day once, with more examples
and a seed of its own. The first round that fails ends it; its seed brings the same again.
"""

import os
import secrets
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SEQUENCES: Final = "50000"
"""Of frames, a tenth of what the suite plays: a round is to be over in some minutes."""


def command(seed: int, more: list[str]) -> list[str]:
    # What fails is shrunk, which may take longer than a test of the suite may.
    options = [
        "--hypothesis-profile=fuzz",
        f"--hypothesis-seed={seed}",
        "-o",
        "faulthandler_timeout=0",
    ]
    return [sys.executable, "-m", "pytest", "-x", "-m", "hypothesis or random", *options, *more]


def main(arguments: list[str]) -> int:
    """Run rounds until the time is over; one that is under way then is broken off."""
    if not arguments or not arguments[0].isdecimal():
        print(__doc__, file=sys.stderr)
        return 2
    deadline = time.monotonic() + int(arguments[0])
    rounds, more = 0, arguments[1:]
    while (left := deadline - time.monotonic()) > 0:
        seed = secrets.randbelow(2**32)
        print(f"round {rounds + 1}, seed {seed}, {left:.0f} s left", flush=True)
        environment = {"AGENTGATHER_RANDOM_SEQUENCES": SEQUENCES} | os.environ
        environment |= {"AGENTGATHER_SEED": str(seed)}
        try:
            done = subprocess.run(command(seed, more), cwd=ROOT, env=environment, timeout=left)
        except subprocess.TimeoutExpired:
            break
        if done.returncode != 0:
            names = ("AGENTGATHER_RANDOM_SEQUENCES", "AGENTGATHER_SEED")
            variables = " ".join(f"{name}={environment[name]}" for name in names)
            line = shlex.join(command(seed, more)[1:])
            print(f"again: {variables} python {line}", file=sys.stderr)
            return 1
        rounds += 1
    print(f"nothing found: {rounds} whole rounds, and a part of one")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
