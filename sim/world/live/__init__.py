"""A live programme in the world: what the station streams, and what becomes of it at a pole."""
