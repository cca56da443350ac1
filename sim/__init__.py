"""The simulator: the same node stack for every node of a village, in virtual time."""
