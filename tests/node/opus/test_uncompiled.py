"""The decoder means the same as plain Python, where integers do not wrap by themselves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_PROGRAM = """
import sys, warnings
import numpy as np
warnings.simplefilter("error")
from node.opus.decoder import OpusDecoder
data, decoder, at = open(sys.argv[1], "rb"), OpusDecoder(48_000, 2), 0
out = np.zeros((5760, 2), np.float32)
with data:
    for _ in range(int(sys.argv[2])):
        size, final = (int.from_bytes(data.read(4), "big") for _ in range(2))
        payload = np.frombuffer(data.read(size), np.uint8)
        assert decoder.decode(payload, out) > 0
        assert decoder.final_range == final
assert decoder.interpolate(payload, 960, out[:960], later=payload) == 960
assert decoder.decode(payload, out) > 0
assert decoder.conceal(960, out) == 960
"""


@pytest.mark.parametrize(
    ("name", "packets"), [("chaos_2", 20), ("fec_WB_20ms_2ch", 6), ("dtx_hybrid_2ch", 4)]
)
def test_uncompiled_kernels_read_every_symbol_alike_and_never_overflow(name, packets):
    stream = _ROOT / "tests" / "data" / "opus" / f"{name}.bit"
    subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(stream), str(packets)],
        check=True,
        timeout=300,
        env={**os.environ, "LOALANG_JIT": "0", "PYTHONPATH": str(_ROOT)},
    )


def test_damaged_packets_are_refused_or_played_alike_without_the_compiler():
    subprocess.run(
        [sys.executable, "-m", "benchmarks", "opus_fuzz", "--packets", "150", "--seed", "3"],
        check=True,
        timeout=300,
        cwd=_ROOT,
        env={**os.environ, "LOALANG_JIT": "0", "PYTHONPATH": str(_ROOT)},
    )


def test_damaged_packets_give_what_libopus_gives_and_nothing_wild():
    subprocess.run(
        [sys.executable, "-m", "benchmarks", "opus_fuzz", "--packets", "20000", "--seed", "4"],
        check=True,
        timeout=300,
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )
