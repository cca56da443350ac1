"""Datagrams in and out: the socket, its groups, and names of hosts."""
