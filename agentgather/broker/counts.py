"""How many of something each of many has: those who have none take no room."""


class Counts:
    """Counts by key."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        """Count those who have any."""
        return len(self._counts)

    def of(self, key: str) -> int:
        """Give how many a key has."""
        return self._counts.get(key, 0)

    def add(self, key: str) -> None:
        """Count one more."""
        self._counts[key] = self._counts.get(key, 0) + 1

    def take(self, key: str) -> None:
        """Count one less of a key that has some."""
        left = self._counts[key] - 1
        if left:
            self._counts[key] = left
        else:
            del self._counts[key]
