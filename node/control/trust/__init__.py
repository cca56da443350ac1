"""Who may order what: signatures, the chain of authority, each order once."""
