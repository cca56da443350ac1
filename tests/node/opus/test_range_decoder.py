"""The range decoder gives back what the encoder of RFC 6716, section 5.1, put in."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from node.kernel.record import new
from node.opus import range_decoder as rd

_RANGE_MIN = 1 << 23


class Encoder:
    """Range encoder on integers of any size: no carries, so nothing to get wrong (5.1)."""

    def __init__(self):
        self.low, self.range, self.bytes = 0, 1 << 31, 4
        self.raw, self.raw_bits = 0, 0

    def put(self, fl, fh, ft):
        step = self.range // ft
        if fl > 0:
            self.low += self.range - step * (ft - fl)
            self.range = step * (fh - fl)
        else:
            self.range -= step * (ft - fh)
        while self.range <= _RANGE_MIN:
            self.low, self.range, self.bytes = self.low << 8, self.range << 8, self.bytes + 1

    def put_raw(self, value, bits):
        self.raw |= value << self.raw_bits
        self.raw_bits += bits

    def put_uint(self, value, ft):
        raw = max(0, (ft - 1).bit_length() - 8)
        self.put(value >> raw, (value >> raw) + 1, ((ft - 1) >> raw) + 1)
        if raw:
            self.put_raw(value & ((1 << raw) - 1), raw)

    def payload(self):
        front = ((self.low + self.range - 1) << 1).to_bytes(self.bytes, "big")
        back = self.raw.to_bytes((self.raw_bits + 7) // 8, "little")[::-1]
        return np.frombuffer(front + back, np.uint8).copy()  # kernels want a writable array


def _start(payload, begin=0, length=None):
    (rc,) = new(rd.RangeDecoder)
    rd.rc_init(rc, payload[begin : begin + (payload.size if length is None else length)])
    return rc


_uint = st.integers(2, 2**32 - 1).flatmap(
    lambda ft: st.tuples(st.just("uint"), st.just(ft), st.integers(0, ft - 1))
)
_raw = st.integers(1, 25).flatmap(
    lambda n: st.tuples(st.just("raw"), st.just(n), st.integers(0, 2**n - 1))
)
_bit = st.tuples(st.just("bit"), st.integers(1, 15), st.integers(0, 1))
_icdf = st.tuples(st.just("icdf"), st.just(8), st.integers(0, 3))
_split = st.integers(2, 65535).flatmap(
    lambda ft: st.tuples(st.just("split"), st.just(ft), st.integers(0, ft - 1))
)
_TABLE = np.array([7, 200, 100, 3, 0], np.uint8)  # one entry too many in front, for the offset


@settings(deadline=None)
@given(st.lists(st.one_of(_uint, _raw, _bit, _icdf, _split), max_size=60))
def test_every_symbol_comes_out_as_it_went_in(symbols):
    encoder = Encoder()
    for kind, size, value in symbols:
        if kind == "uint":
            encoder.put_uint(value, size)
        elif kind == "raw":
            encoder.put_raw(value, size)
        elif kind == "bit":
            total = 1 << size
            encoder.put(*((total - 1, total) if value else (0, total - 1)), total)
        elif kind == "icdf":
            edges = [0, 56, 156, 253, 256]
            encoder.put(edges[value], edges[value + 1], 256)
        else:
            encoder.put(value, value + 1, size)
    payload = encoder.payload()
    rc = _start(payload)

    for kind, size, value in symbols:
        if kind == "uint":
            got = rd.rc_uint(rc, size)
        elif kind == "raw":
            got = rd.rc_bits(rc, size)
        elif kind == "bit":
            got = rd.rc_bit_logp(rc, size)
        elif kind == "icdf":
            got = rd.rc_icdf(rc, _TABLE, 1, size)
        else:
            got = rd.rc_decode(rc, size)
            rd.rc_update(rc, got, got + 1, size)
        assert got == value
    assert rc.range == encoder.range
    assert rc.error == 0


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(0, 5), st.integers(0, 5))
def test_nothing_outside_the_frame_is_read(payload, before, after):
    frame = np.frombuffer(payload, np.uint8).copy()
    inside = np.full(before + frame.size + after, 0xA5, np.uint8)
    inside[before : before + frame.size] = frame
    alone, embedded = _start(frame), _start(inside, before, frame.size)

    for _ in range(100):
        assert rd.rc_uint(alone, 70_000) == rd.rc_uint(embedded, 70_000)
        assert rd.rc_bits(alone, 3) == rd.rc_bits(embedded, 3)
        assert rd.rc_tell(alone) == rd.rc_tell(embedded)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=40), st.integers(0, 40))
def test_a_shortened_frame_decodes_as_if_its_end_had_never_been_there(payload, cut):
    whole = np.frombuffer(payload, np.uint8).copy()
    cut = min(cut, whole.size)
    short = whole[: whole.size - cut].copy()
    rc, expected = _start(whole), _start(short)
    rd.rc_shrink(rc, cut)

    # The first bytes were read before the cut, as in a frame with redundancy.
    for _ in range(50):
        assert rd.rc_bits(rc, 9) == rd.rc_bits(expected, 9)


@settings(deadline=None)
@given(st.binary(max_size=40), st.lists(st.integers(1, 15), max_size=100))
def test_the_bits_used_grow_and_whole_bits_are_eighths_rounded_up(payload, logps):
    frame = np.frombuffer(payload, np.uint8).copy()
    rc = _start(frame)
    assert rd.rc_tell(rc) == 1

    before = rd.rc_tell_frac(rc)
    for logp in logps:
        rd.rc_bit_logp(rc, logp)
        eighths = rd.rc_tell_frac(rc)
        assert eighths >= before
        assert rd.rc_tell(rc) == -(-eighths // 8)
        before = eighths


def test_an_integer_larger_than_possible_marks_the_frame_as_corrupt():
    encoder = Encoder()
    encoder.put(255, 256, 256)
    encoder.put_raw(15, 4)
    payload = encoder.payload()
    rc = _start(payload)

    assert rd.rc_uint(rc, (255 << 4) + 3) == (255 << 4) + 2
    assert rc.error == 1
