"""Random histories of orders that several sign, of roots that follow, of a time asked for."""
