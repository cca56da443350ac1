"""Stored sounds: Ogg Opus files by their hash, taken apart into packets once, at the start.

A file is named by the SHA-256 of its content, `<64 digits>.opus`, and is what
`ffmpeg -i siren.wav -c:a libopus -frame_duration 20 siren.opus` makes. What does not have its hash,
is too large, damaged, of several streams or of other frames than 20 ms is left out, with a line in
the log. The gain that a header asks for is given.
"""

import hashlib
import logging
import os
import struct
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from node.shell.faults import ShellError, file_fault
from node.shell.files import read_regular
from node.shell.sounds.sentences import read_sentences

if TYPE_CHECKING:  # its import loads the kernels: who only looks at a file needs none
    from node.source.stored_sound import Recording

LOG: Final = logging.getLogger("loalang")

FILE_BYTES_MAX: Final = 32 * 1024 * 1024
"""Two hours at 36 kb/s."""

FILES_MAX: Final = 256
"""Sounds in memory; those that the configuration names go before others."""

_ENDING: Final = ".opus"
_LINES_MAX: Final = 20

_PAGE: Final = struct.Struct("<4sBBqIIIB")
"""capture pattern, version, flags, granule, serial, sequence, checksum, segments (RFC 3533, 6)."""

_HEAD: Final = struct.Struct("<8sBBHIhB")
"""pattern, version, channels, pre-skip, input rate, gain in 1/256 dB, mapping family
(RFC 7845, 5.1)."""
_VERSIONS_END: Final = 16
"""Smaller ones can be read as version 1 is."""
_CHECKSUM_AT: Final = 22
_MIRRORED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

WANTED: Final = "Ogg Opus of one stream, undamaged, mono or stereo, in packets of 20 ms"

_HEADERS: Final = 2  # OpusHead and OpusTags (RFC 7845, section 3)


@dataclass(slots=True)
class Sounds:
    """What of a folder of stored sounds can be played, and why not the rest."""

    by_name: "dict[str, Recording]" = field(default_factory=dict)
    """By SHA-256, and by `sha1:` as CAP documents name them."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Reason for each file that is there and cannot be played, by its name without ".opus"."""
    fault: str | None = None
    """Why the folder itself could not be read."""


def read_sounds(folder: Path, named: Collection[str] = ()) -> Sounds:
    """Return the sounds in `folder`; those `named`, which something wants to play, first.

    Never raises: what cannot be read is said, and the rest plays.
    """
    sounds = Sounds()
    try:
        found = sorted(one[: -len(_ENDING)] for one in os.listdir(folder) if one.endswith(_ENDING))
    except OSError as fault:
        sounds.fault = str(file_fault(folder, fault))
        return sounds
    wanted = [one for one in found if one in named]
    others = [one for one in found if one not in named]
    for stem in (*wanted, *others):
        if len(sounds.by_name) >= 2 * FILES_MAX:
            sounds.left_out[stem] = f"one of {len(found)} sounds; a node holds {FILES_MAX}"
            continue
        reason = _take(folder / (stem + _ENDING), stem, sounds.by_name)
        if reason is not None:
            sounds.left_out[stem] = reason
    _log(folder, sounds)
    return sounds


def _take(path: Path, stem: str, library: "dict[str, Recording]") -> str | None:
    """Put one sound into the library, or return why not."""
    try:
        data = read_regular(path, FILE_BYTES_MAX)
    except ShellError as fault:
        return str(fault).removeprefix(f"{path}: ")
    digest = hashlib.sha256(data).hexdigest()
    if digest != stem:
        return f"its hash is {digest}"
    recording = recording_of(data)
    if recording is None:
        return f"no {WANTED}"
    recording = replace(recording, sentences=read_sentences(path, recording.packets))
    library[digest] = recording
    library["sha1:" + hashlib.sha1(data, usedforsecurity=False).hexdigest()] = recording
    return None


def _log(folder: Path, sounds: Sounds) -> None:
    """Say what was left out, in at most so many lines as a person reads."""
    for stem, reason in list(sounds.left_out.items())[:_LINES_MAX]:
        LOG.warning("%s: left out, %s", folder / (stem + _ENDING), reason)
    more = len(sounds.left_out) - _LINES_MAX
    if more > 0:
        LOG.warning("%s: %d more files left out", folder, more)


def recording_of(data: bytes) -> "Recording | None":
    """Return the sound of an Ogg Opus file, or None where `packets_of` does."""
    from node.source.stored_sound import Recording

    packets = _all_packets(data)
    audio = packets_of(data, packets)
    if audio is None or packets is None:
        return None
    return Recording.of(audio, gain_db=_HEAD.unpack_from(packets[0])[5] / 256)


def packets_of(data: bytes, packets: tuple[bytes, ...] | None = None) -> tuple[bytes, ...] | None:
    """Return the audio packets of an Ogg Opus file, or None when it is not what can be stored.

    That is one stream of one or two channels, undamaged, in packets of 20 ms.
    """
    packets = _all_packets(data) if packets is None else packets
    if not packets or not _is_one_stream(packets[0]):
        return None
    audio = tuple(packet for packet in packets[_HEADERS:] if packet)
    return audio if audio and all(_is_20_ms(packet) for packet in audio) else None


def _all_packets(data: bytes) -> tuple[bytes, ...] | None:
    """Return the packets of a file with one logical stream; None when it is damaged or none."""
    packets: list[bytes] = []
    unfinished = b""
    at = 0
    serials = set()
    while at < len(data):
        if len(data) - at < _PAGE.size:
            return None
        pattern, version, _, _, serial, _, told, segments = _PAGE.unpack_from(data, at)
        lacing = data[at + _PAGE.size : at + _PAGE.size + segments]
        begin, at = at, at + _PAGE.size + segments
        if pattern != b"OggS" or version != 0 or len(lacing) != segments:
            return None
        serials.add(serial)
        for length in lacing:
            unfinished += data[at : at + length]
            at += length
            if length < 255:  # the last segment of a packet (RFC 3533, section 5)
                packets.append(unfinished)
                unfinished = b""
        if at > len(data) or len(serials) > 1 or told != _page_checksum(data[begin:at]):
            return None
    return tuple(packets)


def _is_one_stream(head: bytes) -> bool:
    """Return whether `head` is an OpusHead of which one decoder makes all channels."""
    if len(head) < _HEAD.size:
        return False
    pattern, version, channels, _, _, _, family = _HEAD.unpack_from(head)
    if pattern != b"OpusHead" or version >= _VERSIONS_END or channels not in (1, 2):
        return False
    # Family 1 has a table: streams, coupled streams, and which channel is which (RFC 7845, 5.1.1).
    mapping = head[_HEAD.size : _HEAD.size + 2 + channels]
    whole = bytes([1, channels - 1, *range(channels)])
    return family == 0 or (family == 1 and mapping == whole)


def _page_checksum(page: bytes) -> int:
    """Return the checksum of a page (RFC 3533, section 6): zlib's with all bits the other way."""
    blank = page[:_CHECKSUM_AT] + bytes(4) + page[_CHECKSUM_AT + 4 :]
    mirrored = zlib.crc32(blank.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def _is_20_ms(packet: bytes) -> bool:
    """Return whether `packet` holds one frame of 20 ms (RFC 6716, section 3.1)."""
    configuration, code = packet[0] >> 3, packet[0] & 3
    if configuration < 12:
        return configuration % 4 == 1 and code == 0  # SILK: 10, 20, 40, 60 ms
    if configuration < 16:
        return configuration % 2 == 1 and code == 0  # hybrid: 10, 20 ms
    return configuration % 4 == 3 and code == 0  # CELT: 2.5, 5, 10, 20 ms
