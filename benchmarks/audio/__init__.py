"""Loudness, protection and resampler, measured against their standards."""
