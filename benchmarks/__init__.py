"""Measurements: one file per question, budgets.toml for what is allowed, gate for CI."""
