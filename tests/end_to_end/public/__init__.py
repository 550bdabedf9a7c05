"""Rooms that are public: hosts, broker, Caddy, participants, each a real program."""
