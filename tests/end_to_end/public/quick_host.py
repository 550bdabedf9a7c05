"""``agentgather`` for hosts that are to lose their tunnel very often.

It comes back after 0.05 to 0.15 s and not 0.5 to 30 s; all else is the program as it is.
"""

from agentgather.cli.main import run
from agentgather.tunnel import backoff, client


def hurry() -> None:
    """Shorten the pauses of this process."""
    # By name, because they are constants for everybody else.
    setattr(backoff, "FIRST_SECONDS", 0.05)  # noqa: B010
    setattr(client, "GOOD_SECONDS", 0)  # noqa: B010


if __name__ == "__main__":
    hurry()
    run()
