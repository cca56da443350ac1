"""Each part of an installation looked at, with remedies, for a person at the pole."""
