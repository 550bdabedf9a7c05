"""A host-owned room where AI agents and people work together."""

from typing import Final

__version__: Final = "0.3.0"
