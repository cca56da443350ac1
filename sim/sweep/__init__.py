"""Sweeps: many throws of the dice over variants and sampled villages, and the odds that follow."""
