"""The jitter buffer does the same as plain Python: for who debugs with `LOALANG_JIT=0`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_PROGRAM = """
import sys
import numpy as np
from node.config import JitterConfig
from node.jitter.buffer import JitterBuffer
rng = np.random.default_rng(3)
buffer = JitterBuffer(JitterConfig(mode=sys.argv[1]), payload_bytes=0)
now = 0
for n in range(150):
    media, at = n * 960, n * 20_000_000 + int(rng.integers(0, 60_000_000))
    if rng.random() > 0.1:
        buffer.insert(65_500 + n & 0xFFFF, 2**32 - 9600 + media & 0xFFFFFFFF, 960, at)
    if n == 3:
        buffer.seek(2**32 - 9600)
    if n > 3:
        action = buffer.pull(at)
        print(action, *(int(buffer.state[f][0]) for f in ("action_media", "action_samples")))
"""


@pytest.mark.parametrize("mode", ["synchronised", "adaptive"])
def test_uncompiled_kernels_place_and_play_alike(mode):
    said = [
        subprocess.run(
            [sys.executable, "-c", _PROGRAM, mode],
            check=True,
            capture_output=True,
            timeout=300,
            env={**os.environ, "LOALANG_JIT": jit, "PYTHONPATH": str(_ROOT)},
        ).stdout
        for jit in ("0", "1")
    ]
    assert said[0] == said[1]
    assert len(set(said[0].splitlines())) > 10
