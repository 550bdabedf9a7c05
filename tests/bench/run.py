"""Measure the real server as a process, and print a table: `make bench`.

The load generator is a process of its own on the same machine. Figures are medians of
several runs where a part is short enough to repeat. Machines are noisy: to tell whether a
change made a difference, use `make bench-compare`.
"""

import argparse
import signal
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.figures import Row
from tests.bench.parts import PARTS, known_part
from tests.bench.processes import REPOSITORY, ROOT
from tests.bench.report import Report, new_report
from tests.bench.table import markdown_of, with_table

PAGE = REPOSITORY / "docs" / "performance.md"


def main() -> None:
    options = read_arguments()
    # Whatever ends us, the servers that we have started end first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parts: list[str] = options.parts or list(PARTS)
    if options.write and options.parts:
        raise SystemExit("--write is for all parts together: the table is of one run")
    report = new_report(ROOT, quick=options.quick)
    print(f"{report.machine}, commit {report.commit}", flush=True)
    failed = []
    for part in parts:
        report.rows[part] = []
        if not measured(report, part, f"{len(report.rows)} of {len(parts)}"):
            failed.append(part)
        if options.json:
            # After each part, so that what was measured is kept whatever comes.
            options.json.write_text(report.to_json())
    if failed:
        raise SystemExit(f"could not be measured: {' '.join(failed)}")
    if options.write:
        titles = {name: part.title for name, part in PARTS.items()}
        PAGE.write_text(with_table(PAGE.read_text(), markdown_of(report, titles)))
        print(f"written to {PAGE.relative_to(REPOSITORY)}")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/bench/run.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="parts:\n" + "\n".join(f"  {name:10} {part.title}" for name, part in PARTS.items()),
    )
    parser.add_argument("parts", nargs="*", type=known_part, metavar="part", help="default: all")
    parser.add_argument(
        "--quick", action="store_true", help="short runs, once each: to see that it works"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument(
        "--write", action="store_true", help="put the table into docs/performance.md"
    )
    return parser.parse_args()


def measured(report: Report, part: str, place: str) -> bool:
    """Measure a part, and show what comes; say whether it was measured to its end."""
    start = time.perf_counter()
    progress(f"{part}, {place} …")
    try:
        for row in PARTS[part].measure(quick=report.quick):
            report.rows[part].append(row)
            show(row)
            progress(f"{part}, {place}, {time.perf_counter() - start:.0f} s …")
    except (Exception, SystemExit):
        # The others are measured nevertheless.
        progress("")
        traceback.print_exc()
        return False
    progress("")
    print(f"({PARTS[part].title}: {time.perf_counter() - start:.0f} s)\n", flush=True)
    return True


def show(row: Row) -> None:
    progress("")
    wanted = f"   (wanted: {row.wanted_text})" if row.wanted_text else ""
    print(f"{row.what:62} {row.text}{wanted}", flush=True)


def progress(text: str) -> None:
    """Say on a terminal what is being measured; the next line takes its place."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
