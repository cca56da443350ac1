"""The jitter buffer: when each frame plays, and what stands in for a missing one."""
