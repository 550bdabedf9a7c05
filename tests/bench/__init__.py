"""Measurements. `make bench` runs them; pytest never does."""
