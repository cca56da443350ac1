"""CELT, the transform half of Opus (RFC 6716, section 4.3)."""
