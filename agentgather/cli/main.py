"""The console entry. It imports as little as it can before the command is known."""

import gc
import os
import signal
import sys

from agentgather import __version__


def run() -> None:
    """Run the command of this process, and end the process."""
    # Until handlers are in place Ctrl-C ends the process without a traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.argv[1:] in (["--version"], ["-V"]):
        sys.exit(_print_version())
    # Imports make objects that stay. To look through them for garbage at every 700th is a
    # twentieth of a short command.
    gc.set_threshold(50_000, 20, 100)
    # Here, because scripts ask for the version often and it needs none of this.
    from agentgather.cli.program import run_process

    status = run_process(sys.argv[1:])
    # The process ends. The collector would walk everything for it, a sixth of a short command.
    gc.freeze()
    sys.exit(status)


def _print_version() -> int:
    try:
        os.write(1, b"agentgather %b\n" % __version__.encode())
    except OSError:
        return 1
    return 0
