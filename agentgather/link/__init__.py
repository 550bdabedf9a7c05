"""One multiplexed connection: a sans-I/O state machine and its Trio driver; both ends use it."""
