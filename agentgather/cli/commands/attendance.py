"""``room attendance``: view or set the attendance policy."""

import click

from agentgather.cli.context import Context
from agentgather.cli.lazy_group import CONTEXT_SETTINGS
from agentgather.cli.options import json_option
from agentgather.domain.attendance import POLICY_MEANINGS
from agentgather.wire.names import ATTENDANCE_POLICIES


@click.group(
    context_settings=CONTEXT_SETTINGS,
    short_help="view or set the attendance policy",
    help="View or set the attendance policy: who is asked to stay until the room closes.",
)
def attendance() -> None:
    """Hold the two commands."""


@attendance.command(short_help="print the policy", help="Print the attendance policy.")
@json_option
@click.pass_obj
def view(context: Context) -> None:
    """Print the policy."""
    policy = context.api.status()["attendance_policy"]
    context.emit({"ok": True, "attendance_policy": policy}, f"{policy}: {POLICY_MEANINGS[policy]}")


@attendance.command(
    name="set",
    short_help="set the policy",
    help="Set the attendance policy.\n\n\b\n"
    + "\n".join(f"  {name:18} {POLICY_MEANINGS[name]}" for name in POLICY_MEANINGS),
)
@click.argument("policy", type=click.Choice(ATTENDANCE_POLICIES), metavar="POLICY")
@json_option
@click.pass_obj
def set_(context: Context, policy: str) -> None:
    """Set the policy."""
    answer = context.api.set_attendance(policy)
    context.emit(answer, f"the attendance policy is now {answer['attendance_policy']}")
