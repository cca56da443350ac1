"""Stored sounds: Ogg Opus files by their hash, taken apart into packets once, at the start.

A file is named by the SHA-256 of its content, `<64 digits>.opus`, and is what
`ffmpeg -i siren.wav -c:a libopus -frame_duration 20 siren.opus` makes. What does not have its hash,
is too large or holds other frames than 20 ms is left out, with a line in the log.
"""

import hashlib
import logging
import struct
from pathlib import Path
from typing import Final

from node.shell.faults import file_fault
from node.shell.sentences import read_sentences
from node.source.stored_sound import Recording

LOG: Final = logging.getLogger("loalang")

FILE_BYTES_MAX: Final = 32 * 1024 * 1024
"""Two hours at 36 kb/s."""

FILES_MAX: Final = 256

_PAGE: Final = struct.Struct("<4sBBqIIIB")
"""capture pattern, version, flags, granule, serial, sequence, checksum, segments (RFC 3533, 6)."""

_HEADERS: Final = 2  # OpusHead and OpusTags (RFC 7845, section 3)


def read_library(folder: Path) -> dict[str, Recording]:
    """Return the sounds in `folder` by their SHA-256, and by `sha1:` as CAP documents name them.

    Raises
    ------
    ShellError
        If the folder cannot be read.
    """
    try:
        paths = sorted(folder.glob("*.opus"))[:FILES_MAX]
        contents = [(path, path.read_bytes()) for path in paths if _fits(path)]
    except OSError as fault:
        raise file_fault(folder, fault) from fault
    library: dict[str, Recording] = {}
    for path, data in contents:
        digest = hashlib.sha256(data).hexdigest()
        packets = packets_of(data)
        if digest != path.stem:
            LOG.warning("%s: left out, its hash is %s", path, digest)
        elif packets is None:
            LOG.warning("%s: left out, not Ogg Opus with packets of 20 ms", path)
        else:
            recording = Recording.of(packets, read_sentences(path, len(packets)))
            library[digest] = recording
            library["sha1:" + hashlib.sha1(data, usedforsecurity=False).hexdigest()] = recording
    return library


def packets_of(data: bytes) -> tuple[bytes, ...] | None:
    """Return the audio packets of an Ogg Opus file, or None when it is none with 20 ms packets."""
    packets: list[bytes] = []
    unfinished = b""
    at = 0
    while at < len(data):
        if len(data) - at < _PAGE.size:
            return None
        pattern, version, _, _, _, _, _, segments = _PAGE.unpack_from(data, at)
        lacing = data[at + _PAGE.size : at + _PAGE.size + segments]
        at += _PAGE.size + segments
        if pattern != b"OggS" or version != 0 or len(lacing) != segments:
            return None
        for length in lacing:
            unfinished += data[at : at + length]
            at += length
            if length < 255:  # the last segment of a packet (RFC 3533, section 5)
                packets.append(unfinished)
                unfinished = b""
    head = packets[0] if packets else b""
    audio = tuple(packet for packet in packets[_HEADERS:] if packet)
    if at != len(data) or not head.startswith(b"OpusHead") or not audio:
        return None
    return audio if all(_is_20_ms(packet) for packet in audio) else None


def _is_20_ms(packet: bytes) -> bool:
    """Return whether `packet` holds one frame of 20 ms (RFC 6716, section 3.1)."""
    configuration, code = packet[0] >> 3, packet[0] & 3
    if configuration < 12:
        return configuration % 4 == 1 and code == 0  # SILK: 10, 20, 40, 60 ms
    if configuration < 16:
        return configuration % 2 == 1 and code == 0  # hybrid: 10, 20 ms
    return configuration % 4 == 3 and code == 0  # CELT: 2.5, 5, 10, 20 ms


def _fits(path: Path) -> bool:
    size_bytes = path.stat().st_size
    if size_bytes > FILE_BYTES_MAX:
        LOG.warning("%s: left out, %d bytes: at most %d", path, size_bytes, FILE_BYTES_MAX)
    return size_bytes <= FILE_BYTES_MAX
