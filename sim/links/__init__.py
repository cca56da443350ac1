"""Models of the way between sender and node."""
