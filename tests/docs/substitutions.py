"""What of a page is another word on a test's machine, and why. Nothing else is changed."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from agentgather import __version__

PYTEST_FOLDER: Final = "tests/domain"
_PROJECT: Final = tomllib.loads(
    (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text("utf-8")
)["project"]
RELEASES: Final = f"{_PROJECT['urls']['Source']}/releases/download"
"""Where releases are published."""


class Substitution(NamedTuple):
    """``pattern`` in a block becomes ``by``, where ``{name}`` is of the page's stage."""

    pattern: str
    by: str
    reason: str


SUBSTITUTIONS: Final = (
    Substitution(
        r"\bagentgather ((?:up|room serve)\b(?!.*--port).*)",
        r"agentgather \1 --port {port}",
        "8787 is the port where none is named, and may be taken here",
    ),
    Substitution(r"\b8787\b", "{port}", "the same port, where it is named"),
    Substitution(
        r"\bagentgather broker serve$",
        "agentgather broker serve --port {broker_port}",
        "8799 likewise is the broker's where none is named",
    ),
    Substitution(r"\b8799\b", "{broker_port}", "the broker of a test takes a free port"),
    Substitution(r"\b9799\b", "{metrics_port}", "so do its metrics"),
    Substitution(
        r"https://rooms\.example(\.org)?(?![\w.:])",
        "{broker}",
        "nobody has that name: a broker of this machine has its place",
    ),
    Substitution(r"agp_…", "{token}", "each reader has a token of their own"),
    Substitution(
        r"10\.8\.0\.2", "127.0.0.2", "the address of a VPN; this one every Linux machine has"
    ),
    Substitution(
        re.escape(f"{RELEASES}/v{__version__}"),
        "{release}",
        "a release of this version is not published before it is tested",
    ),
    Substitution(
        r"http://127\.0\.0\.1:8000", "{release}", "its files are served by the test, not by hand"
    ),
    Substitution(
        r"sudo -u agentgather-broker /opt/agentgather/bin/agentgather",
        "agentgather",
        "the account and the folder are an operator's; the command is the same",
    ),
    Substitution(r"(?<!\S)/opt/", "{folder}/opt/", "nor is a folder for all users to be touched"),
    Substitution(
        r"/var/lib/agentgather-broker", "{state}", "the broker of a test has its state elsewhere"
    ),
    Substitution(r"(?<!\S)(/var)?(/backups?)(?=/)", r"{folder}\2", "no folder for backups here"),
    Substitution(
        r"^make run$",
        "PORT={port} make run",
        "the same port again, as this one is told of it",
    ),
    Substitution(
        r"^make (test|release .*)$", r"make --dry-run \1", "the suite is not to run in itself"
    ),
    Substitution(
        r"-m pytest( .*?)( tests/\S+)?$",
        rf"-m pytest --collect-only\1 {PYTEST_FOLDER}",
        "nor is a part of it; which tests there are in one folder shows that the words are right",
    ),
    Substitution(
        r"^sh install\.sh", "AGENTGATHER_BASE_URL={release} sh install.sh", "from the same place"
    ),
    Substitution(
        r"\bsh install\.sh", "sh install.sh{as_root}", "root, who may run a test, has to insist"
    ),
)


def for_this_machine(text: str, values: Mapping[str, str]) -> str:
    """Give a block as it runs here."""
    for one in SUBSTITUTIONS:
        # Asked for where it is needed only: a value may be a program that is started then.
        if re.search(one.pattern, text, re.MULTILINE):
            by = one.by.format_map(values)
            text = re.sub(one.pattern, by, text, flags=re.MULTILINE)
    return text
