"""The question: scenario, places, sender and the day."""
