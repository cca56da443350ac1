"""The way to the broker: one connection, the node's topics, and what waits to be delivered."""
