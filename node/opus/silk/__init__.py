"""SILK, the linear prediction half of Opus (RFC 6716, section 4.2)."""
