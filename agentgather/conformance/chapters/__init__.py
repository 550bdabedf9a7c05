"""The clauses, by the part of the contract that they are of."""
