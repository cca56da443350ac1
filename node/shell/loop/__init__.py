"""How the daemon's loop goes: when it looks, and what it tells then."""
