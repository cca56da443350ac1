"""Whom an order is for: the list of poles, who could read it, who answered and who did not."""
