"""Tier T1: whole daemons, a broker and a station in virtual time, on one loop."""
