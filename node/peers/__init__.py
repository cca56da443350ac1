"""Whom a node speaks with by RTCP: its sender, senders that announce themselves, its neighbour."""
