"""``conformance``: try the published contract on a server, from outside."""

from typing import Final

import click

from agentgather.cli.candidates import files
from agentgather.cli.context import Context
from agentgather.cli.failures import Misused
from agentgather.cli.inputs import given_token
from agentgather.cli.options import json_option

TOKEN_VARIABLE: Final = "AGENTGATHER_HOST_TOKEN"  # noqa: S105 - the name of a variable


@click.command(
    short_help="try the published contract on a server",
    help="""Try every clause of spec/conformance.md on the room at URL, whoever wrote its server,
and print the names of those that it does not keep. Exit status 1 if there are any.

The room gets some hundred messages, which stay, and a few seats named conformance-*, which are
removed again. Make a room for it; for one that has messages already say --yes. It takes
about two minutes. Nobody else should be in the room meanwhile.

The token is the host's. In --host-token everybody on this machine sees it while the command runs;
--host-token-file, `--host-token -`, which reads standard input, and AGENTGATHER_HOST_TOKEN keep
it to you.

\b
  agentgather conformance http://127.0.0.1:8787 --host-token-file token
  agentgather conformance https://rooms.example/review --host-token-file token --only wait.
  agentgather conformance --list
""",
)
@click.argument("url", metavar="URL", required=False)
@click.option("--host-token", metavar="TOKEN", help="the host's token; `-` reads standard input")
@click.option(
    "--host-token-file", metavar="FILE", shell_complete=files, help="a file that has the token"
)
@click.option(
    "--only",
    metavar="PREFIX",
    multiple=True,
    help="try only clauses whose name begins so; once for each",
)
@click.option("--close", "may_close", is_flag=True, help="close the room at the end, for good")
@click.option("--yes", is_flag=True, help="write also into a room that has messages")
@click.option("--list", "is_list", is_flag=True, help="print the clauses, and try none")
@json_option
@click.pass_obj
def conformance(
    context: Context,
    url: str | None,
    host_token: str | None,
    host_token_file: str | None,
    only: tuple[str, ...],
    may_close: bool,
    yes: bool,
    is_list: bool,
) -> int:
    """Try the contract on a server."""
    # Here, because it takes Trio along, for which a TAB should not wait.
    from agentgather.cli.conforming import Wish, chosen, print_clauses, try_server

    clauses = chosen(only)
    if is_list:
        print_clauses(context, clauses)
        return 0
    if url is None:
        raise Misused("name the URL of the room that is to be tried, or say --list")
    if host_token is None and host_token_file is None:
        host_token = context.environ.get(TOKEN_VARIABLE)
    token = given_token(context, host_token, host_token_file, flag="--host-token")
    return try_server(context, Wish(url, token, clauses, may_close=may_close, yes=yes))
