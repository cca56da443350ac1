"""Stored sounds: the library, their sentences, and spoken words fetched by https."""
