"""``python -m agentgather``."""

from agentgather.cli.main import run

if __name__ == "__main__":
    run()
