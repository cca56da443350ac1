"""Warnings: CAP and short alerts, where they hold, and the book of those in force."""
