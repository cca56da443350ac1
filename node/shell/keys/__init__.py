"""Secrets: the node's own key, keys in files, and what the broker asks for."""
