"""What a person types: check, keep, order, publish, show."""
