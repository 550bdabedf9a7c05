"""The browser's files."""
