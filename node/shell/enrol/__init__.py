"""How a new node becomes one of the commune's: it asks, a person accepts, it gets all it needs."""
