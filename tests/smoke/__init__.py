"""The built program, where there is no Python of ours. Only `make smoke` runs this."""
