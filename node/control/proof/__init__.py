"""What a node answers and records, signed, so that it can be held against it."""
