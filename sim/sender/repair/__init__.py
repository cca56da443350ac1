"""Copies sent ahead and packets sent again, and the one account that pays for both."""
