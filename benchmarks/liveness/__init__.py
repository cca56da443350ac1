"""Whatever befalls a stream, a node sounds again: histories, and what is heard of them."""
