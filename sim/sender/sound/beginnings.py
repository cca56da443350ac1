"""Where a sound file begins within bytes: by what its format begins with, and nothing else has.

```
 ID3 tag │ line break, BOM, HTTP header, zeros │ RIFF size WAVE fmt … │ RIFF size WAVE fmt …
         └── no sound: passed over             └── the file           └── the next one (`cat`)
```
What begins with no such mark (MPEG audio, AAC, transport streams) a demuxer finds by itself.
"""

import re
from typing import Final

MARK_BYTES: Final = 96
"""So many bytes from where a file begins are enough to know that."""

OGG_MARK: Final = b"OggS\x00"
"""Each link of a chain begins with it: they are parts of one file."""
_FLAC_MARK: Final = b"fLaC"
"""FLAC within Ogg and Matroska has it too."""
_CONTAINERS: Final = frozenset(
    {
        b"caff\x00\x01",
        b"\x1aE\xdf\xa3",
        b"ftyp",
        b"FLV\x01",
        b"0&\xb2u\x8ef\xcf\x11",
        b"nut/multimedia",
    }
)

_FIRST_OF_ITS_BLOCKS: Final = b"".join(b"\\x%02x" % byte for byte in range(256) if byte & 8)
"""Second byte of the flags of a WavPack block (INITIAL_BLOCK)."""

_KINDS: Final[tuple[tuple[bytes, int, "re.Pattern[bytes]"], ...]] = tuple(
    (mark, at, re.compile(whole, re.DOTALL))
    for mark, at, whole in (
        (b"RIFF", 0, rb"RIFF.{4}(?:WAVE|AVI )[\x20-\x7e]{4}"),
        (b"RF64", 0, rb"RF64.{4}WAVE[\x20-\x7e]{4}"),
        (b"BW64", 0, rb"BW64.{4}WAVE[\x20-\x7e]{4}"),
        (b"FORM", 0, rb"FORM.{4}(?:AIF[FC]|8SVX|16SV)[\x20-\x7e]{4}"),
        (b"riff\x2e\x91\xcf\x11", 0, rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"),
        (b"caff\x00\x01", 0, rb"caff\x00\x01\x00\x00[\x20-\x7e]{4}"),
        (
            b".snd\x00\x00",
            0,
            rb"\.snd\x00\x00.{6}\x00\x00\x00[\x01-\x1f]\x00[\x00-\x0b].{2}\x00{3}",
        ),
        (_FLAC_MARK, 0, rb"fLaC[\x00\x80]\x00\x00\x22"),
        (OGG_MARK, 0, rb"OggS\x00[\x02\x06]\x00{8}"),
        (b"\x1aE\xdf\xa3", 0, rb"\x1aE\xdf\xa3.{1,64}?(?:webm|matroska)"),
        (b"Creative Voice", 0, rb"Creative Voice File\x1a"),
        (b"TTA1", 0, rb"TTA1[\x01-\x03]\x00"),
        (
            b"wvpk",
            0,
            rb"wvpk.{3}\x00[\x00-\x1f]\x04.{6}\x00{4}.{5}[" + _FIRST_OF_ITS_BLOCKS + rb"]",
        ),
        (b"ftyp", 4, rb"\x00\x00[\x00\x01].ftyp[\x20-\x7e]{3}"),
        (b"#!AMR", 0, rb"#!AMR(?:-WB)?\n"),
        (b"FLV\x01", 0, rb"FLV\x01[\x01\x04\x05]\x00\x00\x00\x09"),
        (b"0&\xb2u\x8ef\xcf\x11", 0, rb"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel"),
        (b"nut/multimedia", 0, rb"nut/multimedia container\x00"),
    )
)

_BEGUN: Final = re.compile(
    rb".{4}(?:moov|mdat|wide|free|skip|pnot|uuid|styp)"  # of QuickTime, which has no `ftyp`
    rb"|G.{187}G"  # a transport stream
    rb"|\x00\x00\x01\xba"
    rb"|\x0bw.{3}[\x20-\x87]",  # AC-3 (ETSI TS 102 366)
    re.DOTALL,
)
_MPEG_AUDIO: Final = re.compile(rb"\xff[\xe2\xe3\xf0-\xf5\xf8-\xfd]")
"""Sync word and layer of a frame: ISO/IEC 11172-3, 2.4.2.3, and of AAC in ADTS."""
_MPEG_LOOK_BYTES: Final = 8192
_MPEG_FRAMES_MIN: Final = 4
LOOK_BYTES: Final = max(_MPEG_LOOK_BYTES, MARK_BYTES)
"""`begins` wants so many bytes."""

_OWN_ZEROS: Final = (3, 2)
"""So many zeros may a sound begin with: of the size of its first box, of a start code."""

_ID3_BYTES: Final = 10
_ID3: Final = re.compile(rb"ID3[\x02-\x04][\x00-\x0f].[\x00-\x7f]{4}", re.DOTALL)
_ID3_FOOTER: Final = 0x10
_APE: Final = b"APETAGEX"
_APE_BYTES: Final = 32
_ID3_OLD_BYTES: Final = 128


def marks_within(head: bytes) -> frozenset[bytes]:
    """Return the marks that are part of a file which begins with `head`, and begin none in it."""
    mark = next((mark for mark, at, whole in _KINDS if whole.match(head)), b"")
    if mark == OGG_MARK:
        return frozenset({OGG_MARK, _FLAC_MARK})
    is_container = mark in _CONTAINERS or head[8:12] == b"AVI "
    return frozenset({_FLAC_MARK}) if is_container else frozenset()


def next_beginning(data: bytes, begin: int = 0, *, but: frozenset[bytes] = frozenset()) -> int:
    """Return where the first file at or behind `begin` begins in `data`; -1 where none does.

    Marks in `but` do not count.
    """
    found = len(data)
    for mark, offset, whole in _KINDS:
        if mark in but:
            continue
        at = data.find(mark, begin + offset, found + offset)
        while at >= 0:
            if whole.match(data, at - offset):
                found = at - offset
                break
            at = data.find(mark, at + 1, found + offset)
    return found if found < len(data) else -1


def doubtful_bytes(data: bytes, begin: int = 0, *, but: frozenset[bytes] = frozenset()) -> int:
    """Return of how many bytes at the end of `data`, behind `begin`, more may make a beginning.

    Marks in `but` do not count.
    """
    first = max(begin, len(data) - MARK_BYTES)
    found = len(data)
    for mark, offset, _ in _KINDS:
        if mark in but:
            continue
        at = data.find(mark, first + offset)
        if at < 0:
            ends = (n for n in range(len(mark) - 1, 0, -1) if data.endswith(mark[:n]))
            at = len(data) - next(ends, 0)
        found = min(found, max(first, at - offset))
    return len(data) - found


def begins(data: bytes) -> bool:
    """Return whether a sound begins right at the beginning of `data`."""
    return next_beginning(data[:MARK_BYTES]) == 0 or bool(_BEGUN.match(data)) or is_mpeg(data)


def is_mpeg(data: bytes) -> bool:
    """Return whether frames of MPEG audio or AAC follow each other from the beginning on."""
    count = data[:_MPEG_LOOK_BYTES].count(data[:2])
    return bool(_MPEG_AUDIO.match(data)) and count >= _MPEG_FRAMES_MIN


def padding_bytes(data: bytes) -> int:
    """Return how many zeros `data` begins with that are not part of what begins behind them."""
    count = len(data) - len(data.lstrip(b"\0"))
    own = (n for n in _OWN_ZEROS if n <= count < len(data) and begins(data[count - n :]))
    return count - next(own, 0)


def tag_bytes(data: bytes) -> int:
    """Return how long the tag is that `data` begins with (ID3, APE); 0 where it is none."""
    if _ID3.match(data):
        size = 0
        for byte in data[6:_ID3_BYTES]:
            size = size << 7 | byte
        return _ID3_BYTES * (2 if data[5] & _ID3_FOOTER else 1) + size
    if data.startswith(_APE) and len(data) >= _APE_BYTES:
        return _APE_BYTES + int.from_bytes(data[12:16], "little")
    return _ID3_OLD_BYTES if data.startswith(b"TAG") else 0
