"""Lists of sounds, which people take for the sounds: they are told apart, and named as lists."""

import re
from pathlib import PurePath
from typing import Final

NO_SOUND: Final = "a playlist: give the files in it"
LOOK_BYTES: Final = 1024
"""So much of the beginning says whether it is a list."""

_HEADS: Final = re.compile(
    rb"\[playlist\]|\[reference\]|ffconcat |#extm3u|<\?wpl|<asx|<smil|<playlist"
    rb"|<\?xml[^>]*>\s*(?:<!--.*?-->\s*|<!doctype[^>]*>\s*)*<(?:\w+:)?(?:playlist|asx|smil|rss)\b",
    re.DOTALL,
)
_CUE: Final = re.compile(rb'^\s*file\s+(?:"[^"\n]*"|\S+)\s+(?:wave|mp3|aiff|binary|flac)\b', re.M)
_NAMES: Final = frozenset({".m3u", ".m3u8", ".pls", ".xspf", ".cue", ".asx", ".wpl", ".ram"})
_SEGMENTS: Final = b"#ext-x-"
"""Of HLS (RFC 8216), which is a sound in pieces: FFmpeg's libraries play it."""
_TEXT: Final = re.compile(rb"[^\x00-\x08\x0e-\x1f]+")


def is_playlist(name: str, begin: bytes) -> bool:
    """Return whether what is called `name`, and begins so, is a list of sounds."""
    if begin.startswith((b"\xff\xfe", b"\xfe\xff")):
        begin = begin[2:].replace(b"\0", b"")  # UTF-16: letters of lists are ASCII
    text = begin.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if _SEGMENTS in text:
        return False
    if _HEADS.match(text) or _CUE.search(text):
        return True
    path = name.partition("?")[0] if "://" in name else name
    is_named = PurePath(path).suffix.lower() in _NAMES
    return is_named and _TEXT.fullmatch(text) is not None
