"""A room over HTTP. Knows no tunnel."""
