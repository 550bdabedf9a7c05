"""The rules of a room: pure, synchronous; time, ids and entropy are passed in."""
