"""What others send under a payload type of Opus, and what libopus sends, as lists of payloads."""

import ctypes

import numpy as np
from opuslib_next.api import libopus

TELEPHONE_HZ = 8000
AMR_BITS = ((95, 103, 118, 134, 148, 159, 204, 244), (132, 177, 253, 285, 317, 365, 397, 461, 477))
"""Of the speech modes of AMR and AMR-WB (RFC 4867, 3.6)."""

_SET_BITRATE, _SET_VBR, _SET_MODE = 4002, 4006, 11002
_create = ctypes.CFUNCTYPE(
    ctypes.c_void_p, ctypes.c_int32, ctypes.c_int, ctypes.c_int, ctypes.c_void_p
)(("opus_encoder_create", libopus))
_encode = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int
)(("opus_encode_float", libopus))
_control = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)(
    ("opus_encoder_ctl", libopus)
)
_destroy = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(("opus_encoder_destroy", libopus))


def g711(sound, law):
    """Return sound of full scale 1 as bytes of the law "A" or "mu" (ITU-T G.711), by its formula.

    The curves in place of the chords: near enough for what bytes look like.
    """
    level = np.minimum(np.abs(sound), 1)
    if law == "A":
        curve = np.where(level < 1 / 87.6, 87.6 * level, 1 + np.log(np.maximum(87.6 * level, 1e-9)))
        steps = np.minimum(127 * curve / (1 + np.log(87.6)), 127).astype(np.uint8)
        return ((steps | (sound >= 0).astype(np.uint8) << 7) ^ 0x55).tobytes()
    steps = (127 * np.log1p(255 * level) / np.log(256)).astype(np.uint8)
    return (~(steps | (sound < 0).astype(np.uint8) << 7)).tobytes()


def tone(hz, level, phase, packet_ms, law, *, seconds=3):
    n = np.arange(seconds * TELEPHONE_HZ)
    coded = g711(level * np.sin(2 * np.pi * hz * n / TELEPHONE_HZ + phase), law)
    return pieces(coded, packet_ms * TELEPHONE_HZ // 1000)


def pieces(coded, size):
    return [coded[begin : begin + size] for begin in range(0, len(coded) - size + 1, size)]


def amr(rng, *, mode, asks_for, frames, is_wide, is_aligned, packets):
    """Return AMR as octets or as bits: all its frames are of one mode (RFC 4867, 4.3 and 4.4)."""
    speech = AMR_BITS[is_wide][mode]
    end = [0, 0] if is_aligned else []
    head = [*_bits(asks_for, 4), *(2 * end)]
    for i in range(frames):
        head += [int(i < frames - 1), *_bits(mode, 4), 1, *end]
    fill = -speech % 8 if is_aligned else 0
    made = []
    for _ in range(packets):
        parts = [head]
        for _ in range(frames):
            parts += [rng.integers(0, 2, speech), np.zeros(fill, int)]
        made.append(np.packbits(np.concatenate(parts).astype(np.uint8)).tobytes())
    return made


def gsm(rng, *, first, frames, packets):
    """Return GSM 06.10 whose first byte stays, as that of a held vowel does."""
    made = []
    for _ in range(packets):
        parts = []
        for _ in range(frames):
            part = bytearray(rng.bytes(33))
            part[0] = first
            for lag in range(5, 33, 7):
                part[lag] = int(rng.integers(40, 121)) << 1 | part[lag] & 1
            parts.append(bytes(part))
        made.append(b"".join(parts))
    return made


def multichannel(rng, *, head, sizes, packets, ends_alone=True):
    """Return several streams of one frame in a packet, the last one `ends_alone` or not."""
    made = []
    for _ in range(packets):
        whole = b""
        for i, size in enumerate(sizes):
            is_last = ends_alone and i == len(sizes) - 1
            coded = bytes([size]) if size < 252 else bytes([252 + (size & 3), (size - 252) // 4])
            whole += bytes([head]) + (b"" if is_last else coded) + rng.bytes(size)
        made.append(whole)
    return made


def opus(sound, *, packet_ms, channels, mode, bitrate, vbr):
    """Return the packets of libopus of a sound, the same in all channels.

    sound  (n,) float32, full scale 1, at 48 kHz
    """
    encoder = _create(48_000, channels, 2049, None)
    for what, value in ((_SET_BITRATE, bitrate), (_SET_VBR, vbr), (_SET_MODE, mode)):
        assert _control(encoder, what, value) == 0
    samples = round(48 * packet_ms)
    out = np.zeros(1500, np.uint8)
    made = []
    for begin in range(0, len(sound) - samples + 1, samples):
        part = np.repeat(sound[begin : begin + samples], channels).astype(np.float32)
        size = _encode(encoder, part.ctypes.data, samples, out.ctypes.data, len(out))
        assert size > 0
        made.append(out[:size].tobytes())
    _destroy(encoder)
    return made


def _bits(value, count):
    return [value >> (count - 1 - i) & 1 for i in range(count)]
