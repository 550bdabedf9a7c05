"""Chance that is the same on every run, but for `make fuzz`."""

import os
import random


def seeded(name: object) -> random.Random:
    """Give the chance of this name; another one for each ``AGENTGATHER_SEED``."""
    return random.Random(f"{name}{os.environ.get('AGENTGATHER_SEED', '')}")
