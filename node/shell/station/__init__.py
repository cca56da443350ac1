"""The commune's station: its authorities, its broker's identities, and which poles there are."""
