"""``broker token add``, ``list`` and ``revoke``."""

from typing import Any, Final

import click

from agentgather.broker.stored_token import SECONDS_PER_DAY, LabelTaken, StoredToken
from agentgather.cli.broker_state import opened_state
from agentgather.cli.candidates import folders
from agentgather.cli.context import Context
from agentgather.cli.failures import Misused, Refused
from agentgather.cli.options import DURATION, json_option
from agentgather.cli.render import one_line, table
from agentgather.domain.text import format_time

MAX_LABEL_CHARS: Final = 64

state_dir_option = click.option(
    "--state-dir",
    metavar="DIR",
    shell_complete=folders,
    help="where the broker keeps its leases and tokens [default: $STATE_DIRECTORY, else "
    "~/.local/state/agentgather-broker]",
)


@click.command(
    short_help="make a registration token",
    help="""Make a token with which a host may register, and print it, this once.

\b
  agentgather broker token add ada --expires 30d > token
  agentgather tunnel run --broker URL --registration-token-file token
""",
)
@click.argument("label", required=False)
@click.option("--expires", type=DURATION, metavar="30d", help="when it ends  [default: never]")
@state_dir_option
@json_option
@click.pass_obj
def add(context: Context, label: str | None, expires: int | None, state_dir: str | None) -> None:
    """Add a token."""
    if label is not None:
        _check_label(label)
    now_wall_s = context.wall_ms() // 1000
    ends = None if expires is None else now_wall_s + expires
    with opened_state(context, state_dir) as state:
        try:
            number, token = state.add_token(
                label, now_wall_s=now_wall_s, expires_wall_s=ends, entropy=context.entropy
            )
        except LabelTaken:
            raise Refused(
                f"there is a token {label} already; revoke it, or choose another label"
            ) from None
    document = {
        "ok": True,
        "id": number,
        "label": label,
        "token": token,
        "expires_at": _time(ends),
    }
    context.emit(document, token)
    context.say(f"this is token {number}; it is shown this once")


@click.command(
    name="list",
    short_help="list the registration tokens",
    help="List the registration tokens, oldest first. The tokens themselves are stored nowhere.",
)
@state_dir_option
@json_option
@click.pass_obj
def list_tokens(context: Context, state_dir: str | None) -> None:
    """List the tokens."""
    with opened_state(context, state_dir, create=False) as state:
        tokens = [_described(one, context.wall_ms() // 1000) for one in state.list_tokens()]
    rows = [("ID", "LABEL", "CREATED", "LAST USED", "EXPIRES")]
    rows += [
        (
            str(one["id"]),
            one_line(one["label"] or "-"),
            one["created_at"][:10],
            one["last_used_on"] or "never",
            (one["expires_at"] or "never") + (" (expired)" if one["expired"] else ""),
        )
        for one in tokens
    ]
    text = table(rows) if tokens else "(no registration tokens)"
    context.emit({"ok": True, "tokens": tokens}, text)


@click.command(
    short_help="end a registration token",
    help="""End the token with this ID or LABEL. A host that is connected with it stays until its
connection ends.
""",
)
@click.argument("token", metavar="ID|LABEL")
@state_dir_option
@json_option
@click.pass_obj
def revoke(context: Context, token: str, state_dir: str | None) -> None:
    """Revoke a token."""
    with opened_state(context, state_dir, create=False) as state:
        if not state.revoke_token(token):
            raise Refused(
                f"there is no token {one_line(token)}; see `agentgather broker token list`"
            )
    context.emit({"ok": True, "token": token}, f"revoked {one_line(token)}")


def _check_label(label: str) -> None:
    if not (0 < len(label) <= MAX_LABEL_CHARS and label.isprintable()) or label != label.strip():
        raise Misused(f"a label is 1 to {MAX_LABEL_CHARS} printable characters")
    if label.isdecimal():
        raise Misused("a label of digits alone could be another token's id; choose another label")
    if label.startswith("agr_"):
        raise Misused("that is a token; a label is a name for one, such as whose it is")


def _described(token: StoredToken, now_wall_s: int) -> dict[str, Any]:
    used = token.last_used_day
    ends = token.expires_wall_s
    return {
        "id": token.id,
        "label": token.label,
        "created_at": _time(token.created_wall_s),
        "last_used_on": None if used is None else format_time(used * SECONDS_PER_DAY * 1000)[:10],
        "expires_at": _time(ends),
        "expired": ends is not None and now_wall_s >= ends,
    }


def _time(wall_s: int | None) -> str | None:
    return None if wall_s is None else format_time(wall_s * 1000)
