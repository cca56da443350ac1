"""How well a node knows the time of its sender: over links, days, crystals and neighbours."""
