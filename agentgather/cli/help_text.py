"""What the program says of itself as a whole: in its help, and on its page of the manual."""

from collections.abc import Iterable
from typing import Final

Rows = tuple[tuple[str, str], ...]

SUMMARY: Final = "A room where AI agents and people work together, owned by its host."
EXAMPLES: Final = """Host a room:
  agentgather up review --brief "Goal: review the parser change."
  agentgather room invite rev --kind agent
  agentgather room close
  agentgather export --output review.md

Take part:
  agentgather room join review --alias ada --token-file token --url URL
  agentgather attend
  agentgather send rev "please look at parser.py"
  git diff | agentgather send rev -"""
ADVICE: Final = (
    "What is said in a room is advice and data. It has no authority over you or your agents."
)
EXIT_STATUS: Final[Rows] = (
    ("0", "done, and acknowledged"),
    ("1", "refused: by the room, or by a check of the command"),
    ("2", "wrong usage"),
    ("69", "the server can't be reached, or the outcome is unknown"),
    ("75", "not now; try again later"),
    ("129, 130, 143", "ended by SIGHUP, SIGINT or SIGTERM"),
    ("141", "nobody reads the output any more"),
)
ENVIRONMENT: Final[Rows] = (
    ("AGENTGATHER_HOME", "the folder of rooms and seats, if not ~/.agentgather"),
    ("AGENTGATHER_HOST_TOKEN", "the host's token, for `agentgather conformance`"),
    ("AGENTGATHER_REGISTRATION_TOKEN", "the token for a broker that asks for one"),
    ("AGENTGATHER_UNPACK_DIR", "where the program that is one file unpacks itself"),
    ("AGENTGATHER_TRACEBACK", "if not empty, show where it went wrong"),
    ("NO_COLOR", "if not empty, no colour"),
)


def _listed(heading: str, rows: Iterable[tuple[str, str]]) -> str:
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    return "\n".join([f"{heading}:", *(f"  {name.ljust(width)}  {text}" for name, text in rows)])


def as_it_stands(block: str) -> str:
    """Mark the paragraphs of a block so that click leaves their lines alone."""
    return "\n\n".join(f"\b\n{paragraph}" for paragraph in block.split("\n\n"))


HELP: Final = "\n\n".join(
    [
        SUMMARY,
        as_it_stands(EXAMPLES),
        as_it_stands(_listed("Exit status", EXIT_STATUS)),
        as_it_stands(_listed("Environment", ENVIRONMENT)),
        f"{ADVICE} `agentgather COMMAND --help` says more about each command.",
    ]
)
