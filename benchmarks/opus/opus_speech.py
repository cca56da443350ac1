"""Voices to measure Opus with, encoded by libopus: the bundled speech, or what files hold."""

import ctypes
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from opuslib_next.api import libopus as wheel_library

from node.units import RATE_HZ

Packets = list[tuple[NDArray[np.uint8], int]]
"""Payload and the encoder's final range."""
Voices = tuple[NDArray[np.int16], ...]
"""Pieces of speech, mono at 48 kHz."""

KINDS: Final = {
    "SILK": (16_000, 960, 1000, 1103),
    "hybrid": (32_000, 960, 1001, 1105),
    "CELT": (48_000, 960, 1002, 1105),
    "CELT 10": (64_000, 480, 1002, 1105),
}
"""Bit rate, frame in samples, and libopus's numbers for the forced mode and bandwidth."""

SPEECH: Final = Path(__file__).parents[2] / "sim" / "speech" / "announcement_vi.flac"
_VOICES: Final = ((5, 4), (1, 1), (5, 6))
"""Samples for each of the bundled speech at 48 kHz: deeper, as it is, higher."""
_PIECE_SAMPLES: Final = 9 * RATE_HZ
_PIECE_MIN_SAMPLES: Final = 6 * RATE_HZ


def voices(files: Sequence[Path] = (SPEECH,)) -> Voices:
    """Return pieces of speech of 6 to 9 s: (n,) int16 at 48 kHz.

    The bundled speech comes in three sizes of throat, other files as they are. OSError or
    ValueError tells of a file that cannot be read or is too short.
    """
    return tuple(piece for file in files for piece in _pieces(file))


def _pieces(file: Path) -> list[NDArray[np.int16]]:
    from scipy.signal import resample_poly

    found: list[NDArray[np.int16]] = []
    said = _read(file).astype(np.float64)
    for up, down in _VOICES if file == SPEECH else ((1, 1),):
        voice = resample_poly(said, up, down)
        voice = np.clip(np.rint(voice), -32768, 32767).astype(np.int16)
        pieces = np.array_split(voice, max(1, -(-voice.size // _PIECE_SAMPLES)))
        found += [np.ascontiguousarray(one) for one in pieces if one.size >= _PIECE_MIN_SAMPLES]
    if not found:
        raise ValueError(f"{file} is too short: it must hold 6 s of speech or more")
    return found


def _read(file: Path) -> NDArray[np.int16]:
    """Return a file's sound, mono at 48 kHz."""
    import av

    resampler = av.AudioResampler("s16", "mono", RATE_HZ)
    with av.open(str(file)) as container:
        frames = [*container.decode(audio=0), None]
        parts = [one.to_ndarray().ravel() for frame in frames for one in resampler.resample(frame)]
    return np.concatenate(parts)


def encoded(kind: str, said: Voices) -> Iterator[tuple[str, Packets]]:
    """Return each voice encoded as `kind`, a key of KINDS, with a name.

    said  (n,) int16 for each voice, full scale 32768
    """
    for number, voice in enumerate(said):
        yield f"{kind} {number}", encode(voice, *KINDS[kind])


def encode(
    sound: NDArray[np.int16], bitrate: int, samples: int, mode: int, bandwidth: int
) -> Packets:
    """Return the packets of mono sound from the wheel's libopus, in one mode throughout.

    sound  (n,) int16, full scale 32768, 48 kHz
    """
    lib = wheel_library
    create = _function(lib, "opus_encoder_create", ctypes.c_void_p, "iiip")
    encoder = create(RATE_HZ, 1, 2048, ctypes.addressof(ctypes.c_int()))
    control = _function(lib, "opus_encoder_ctl", ctypes.c_int, "pii")
    ask = _function(lib, "opus_encoder_ctl", ctypes.c_int, "pip")
    run = _function(lib, "opus_encode", ctypes.c_int32, "ppipi")
    for request, value in ((4002, bitrate), (11002, mode), (4008, bandwidth)):
        control(encoder, request, value)
    final_range = ctypes.c_uint32()
    packet = np.zeros(1500, np.uint8)
    packets: Packets = []
    for at in range(0, len(sound) - samples + 1, samples):
        part = sound[at : at + samples]
        size = run(encoder, part.ctypes.data, samples, packet.ctypes.data, packet.size)
        ask(encoder, 4031, ctypes.addressof(final_range))
        packets.append((packet[:size].copy(), final_range.value))
    _function(lib, "opus_encoder_destroy", None, "p")(encoder)
    return packets


def _function(library: Any, name: str, result: Any, arguments: str) -> Any:
    """Return a C function of ints (i) and pointers (p)."""
    kinds = {"i": ctypes.c_int, "p": ctypes.c_void_p}
    return ctypes.CFUNCTYPE(result, *(kinds[one] for one in arguments))((name, library))
