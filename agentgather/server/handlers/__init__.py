"""What each endpoint does, in the order: decide, wait until durable, answer."""
