"""What plays when: the programme, and the player that keeps it through power cuts."""
