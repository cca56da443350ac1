"""Disks that lose their power, refuse, are slow, or on which a process dies."""
