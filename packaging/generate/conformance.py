"""The table of clauses in spec/conformance.md."""

from agentgather.conformance.catalogue import CLAUSES
from agentgather.conformance.clause import Clause, Stage

HEAD = """# Conformance

The contract as clauses that can be tried on a room, whoever wrote its server, from outside and
over HTTP alone:

```text
agentgather conformance https://rooms.example/review --host-token-file token
```

It prints the name of each clause that is not kept, and what came instead.
[cli.md](cli.md#conformance) has its flags and exit codes. A name is permanent: clauses are
added, and none is renamed or given another meaning.

The token is the host's. The room is best made for this, and nobody else should be in it: clauses
compare the log before and after. A run leaves some hundred messages behind; its seats are removed,
and brief and policy put back. With `--close` the room is closed at the end, which is the only way
to try the clauses that need it.

A server may have grown: keys that nobody knows yet, and unknown ones in between, break no clause.

Not everything in this contract can be tried so: what a crash leaves, what is on the disk, and how
a full one is answered, a server has to try itself.
"""
_NOTES = {
    Stage.FIRST: "",
    Stage.TOGETHER: "; waits for a deadline of the server",
    Stage.LIMITS: "; uses a limit up",
    Stage.CLOSING: "; needs `--close`",
}


def conformance() -> str:
    """Give the page, without the mark of a generated file."""
    lines = [HEAD]
    chapters: dict[str, list[Clause]] = {}
    for clause in CLAUSES:
        chapters.setdefault(clause.name.partition(".")[0], []).append(clause)
    for chapter, clauses in chapters.items():
        lines += [f"## {chapter}", "", "| clause | is kept where | said in |", "|---|---|---|"]
        for clause in clauses:
            page, _, heading = clause.said.partition("#")
            said = f"[{page.removesuffix('.md')}: {heading}]({clause.said})"
            checks = f"{clause.checks}{_NOTES[clause.stage]}".replace("|", "\\|")
            lines.append(f"| `{clause.name}` | {checks} | {said} |")
        lines.append("")
    return "\n".join(lines)
