"""Random numbers by key, so that adding a node moves no other, and frozen quantiles."""
