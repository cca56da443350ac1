"""What stands between Home Assistant, which signs nothing, and nodes that obey signatures alone."""
