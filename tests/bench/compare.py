"""Measure another commit and this working tree in turns: `make bench-compare BASE=<commit>`.

Both are measured by the benches as they are here, and with the packages that are installed
here. Each turn measures both once, shortly, the one first that was last in the turn before: so
what else the machine does hits both alike. Here against there is given as a ratio for each
figure, the median of all turns and the spread. It is called better or worse where chance alone
would part the two sides so far less than once in a hundred times.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.parts import known_part
from tests.bench.processes import REPOSITORY
from tests.bench.ratios import CHANCE, Change, changes
from tests.bench.report import Report

USUAL = ("posts", "reads", "cpu")
RUN = Path(__file__).with_name("run.py")


def main() -> None:
    options = read_arguments()
    # Whatever ends us, the servers that we have started end first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="agentgather-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        with checked_out(options.base, folder / "worktree") as worktree:
            roots = {
                "base": measured_from(worktree, folder / "base"),
                "here": measured_from(REPOSITORY, folder / "here"),
            }
            found = [
                change
                for part in options.parts or USUAL
                for change in compared(part, roots, options)
            ]
    tell(found, options.turns)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/bench/compare.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("base", help="the commit to compare with")
    parser.add_argument(
        "parts",
        nargs="*",
        type=comparable_part,
        metavar="part",
        help=f"default: {' '.join(USUAL)}",
    )
    parser.add_argument("--turns", type=turns, default=9, help="at least 5; default: 9")
    parser.add_argument("--long", action="store_true", help="runs as long as `make bench` has")
    return parser.parse_args()


def comparable_part(name: str) -> str:
    if name == "built":
        raise argparse.ArgumentTypeError("'built' measures one built program, not a commit")
    return known_part(name)


def turns(text: str) -> int:
    # With 4 on each side even two that never meet would come so by chance once in 35 times.
    if int(text) < 5:
        raise argparse.ArgumentTypeError("fewer than 5 turns can show nothing")
    return int(text)


@contextmanager
def checked_out(commit: str, worktree: Path) -> Iterator[Path]:
    git = ["git", "-C", str(REPOSITORY), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(worktree), commit], check=True)
    try:
        # Else the first start of this side alone would compile.
        package = worktree / "agentgather"
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(package)], check=True)
        yield worktree
    finally:
        subprocess.run([*git, "remove", "--force", str(worktree)], check=True)


def measured_from(checkout: Path, root: Path) -> Path:
    """Make a folder with the checkout's program, and the benches that are here."""
    root.mkdir()
    (root / "agentgather").symlink_to(checkout / "agentgather")
    (root / "tests").symlink_to(REPOSITORY / "tests")
    return root


def compared(part: str, roots: dict[str, Path], options: argparse.Namespace) -> Iterator[Change]:
    reports: dict[str, list[Report]] = {side: [] for side in roots}
    for turn in range(options.turns):
        for side in sorted(roots, reverse=bool(turn % 2)):
            print(f"{part}, turn {turn + 1} of {options.turns}: {side}", flush=True)
            reports[side].append(measure(part, roots[side], long=options.long))
    yield from changes(reports["base"], reports["here"])


def measure(part: str, root: Path, *, long: bool) -> Report:
    file = root / "figures.json"
    command = [sys.executable, str(RUN), *(() if long else ("--quick",)), "--json", str(file), part]
    environment = {**os.environ, "AGENTGATHER_BENCH_ROOT": str(root)}
    # In a session of its own, so that Ctrl-C reaches it once, from us, and it ends its servers.
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    ) as run:
        try:
            code = run.wait()
        except KeyboardInterrupt:
            run.send_signal(signal.SIGINT)
            run.wait()
            raise
    if code:
        raise SystemExit(f"{part} could not be measured, see above")
    return Report.from_json(file.read_text())


def tell(found: list[Change], turns: int) -> None:
    print(f"\n{'':74} {'base':>17} {'here':>17}  {'here against base':24}")
    for change in found:
        print(change.line)
    beyond = [change for change in found if change.verdict]
    print(
        f"\n{len(beyond)} of {len(found)} figures differ beyond the noise of {turns} turns; "
        f"by chance alone {CHANCE * len(found):.1f} might."
    )
    for change in beyond:
        print(change.line)


if __name__ == "__main__":
    main()
