"""Real nodes on one machine: a paced sound card, bad networks, and a ruler for what they play."""
