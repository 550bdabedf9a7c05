"""The published contract as clauses, each of which is tried on a server from outside."""
