"""How loud, and why: the plan, the law, the neighbour, and the reason in words."""
