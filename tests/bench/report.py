"""One run of the benches: what was measured, where, when and of which commit; as data."""

import json
import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.bench.figures import Figure, Row


@dataclass
class Report:
    """``rows`` are by part. ``commit`` ends in ``+`` where the files differ from it."""

    machine: str
    date: str
    commit: str
    load: float
    quick: bool
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def to_json(self) -> str:
        data = asdict(self)
        data["rows"] = [
            {
                "part": part,
                "what": row.what,
                "figures": [
                    figure._asdict() | {"missed": figure.is_missed} for figure in row.figures
                ],
                "limited_by": row.limited_by,
                "note": row.note,
            }
            for part, rows in self.rows.items()
            for row in rows
        ]
        return json.dumps(data, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        data: dict[str, Any] = json.loads(text)
        rows: dict[str, list[Row]] = {}
        for row in data.pop("rows"):
            figures = tuple(
                Figure(one["label"], one["value"], one["unit"], one["wanted"])
                for one in row["figures"]
            )
            rows.setdefault(row["part"], []).append(
                Row(row["what"], figures, row["limited_by"], row["note"])
            )
        return cls(**data, rows=rows)


def new_report(package: Path, *, quick: bool) -> Report:
    """Begin a report of the program whose folder ``agentgather`` lies in ``package``."""
    return Report(
        machine=machine(),
        date=time.strftime("%Y-%m-%d"),
        commit=commit_of((package / "agentgather").resolve().parent),
        load=os.getloadavg()[0],
        quick=quick,
    )


def machine() -> str:
    info = Path("/proc/cpuinfo").read_text()
    models = [
        line.partition(":")[2].strip()
        for line in info.splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} × {models[0] if models else platform.machine()}, {memory:.0f} GiB, "
        f"Linux {platform.release()}, {file_system('/var/tmp')}, "
        f"Python {platform.python_version()}"
    )


def file_system(path: str) -> str:
    """Give the type of the file system that holds ``path``, as ``df`` names it."""
    return subprocess.check_output(["df", "--output=fstype", path], text=True).split()[-1]


def commit_of(folder: Path) -> str:
    git = ["git", "-C", str(folder)]
    short = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True).strip()
    # A page that a run writes makes no other program.
    changes = subprocess.check_output([*git, "status", "--porcelain", "--", "agentgather"])
    return f"{short}+" if changes else short
