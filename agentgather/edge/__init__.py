"""HTTP under Trio: hypercorn, hardened and fast. Knows no room."""
