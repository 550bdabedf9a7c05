"""The public end: it keeps nothing that outlives a connection but leases."""
