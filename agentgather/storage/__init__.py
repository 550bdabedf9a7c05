"""Durable and back. Knows no network."""
