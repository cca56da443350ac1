"""The jitter buffer on arrival traces: delay, concealment, repair, redundancy and cost."""
