"""Ogg files changed on purpose, so that only what was changed is wrong with them."""


def resealed(data: bytes) -> bytes:
    """Return the file with the checksum of its first page set anew (RFC 3533, section 6)."""
    end = data.index(b"OggS", 4)
    page = bytearray(data[:end])
    page[22:26] = bytes(4)
    checksum = 0
    for byte in page:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1) ^ (0x04C11DB7 if checksum & 0x80000000 else 0)
        checksum &= 0xFFFFFFFF
    page[22:26] = checksum.to_bytes(4, "little")
    return bytes(page) + data[end:]
