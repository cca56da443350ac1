"""The Opus decoder of RFC 6716 and RFC 8251."""
