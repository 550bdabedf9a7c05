"""How much of something each of many has: those who have nothing take no room."""


class Counts:
    """Counts by key."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def of(self, key: str) -> int:
        """Give how much a key has."""
        return self._counts.get(key, 0)

    def add(self, key: str, amount: int = 1) -> None:
        """Count so much more."""
        self._counts[key] = self._counts.get(key, 0) + amount

    def take(self, key: str, amount: int = 1) -> None:
        """Count so much less of a key that has it."""
        left = self._counts[key] - amount
        if left:
            self._counts[key] = left
        else:
            del self._counts[key]
