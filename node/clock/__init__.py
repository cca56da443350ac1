"""Time between machines: exchange, servo, time base."""
