"""The library of kernels: taken when it fits, without numba, and equal to what numba makes."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from node.kernel import build, shipped
from node.kernel.fit import linked

PLAYED = """
import hashlib, sys
import numpy as np
import opuslib_next
from node.config import NodeConfig
from node.opus.decoder import OpusDecoder

digest = hashlib.sha256()
rng = np.random.default_rng(7)
t = np.arange(48_000 * 4) / 48_000
voice = (np.sin(2 * np.pi * (150 + 40 * np.sin(3 * t)) * t) * 9000).astype("<i2")
noise = (rng.standard_normal(len(t)) * 2000).astype("<i2")
for channels, sound in ((1, voice), (2, np.repeat(voice // 2 + noise, 2))):
    for application, bitrate in ((2048, 12_000), (2048, 28_000), (2049, 64_000), (2051, 96_000)):
        encoder = opuslib_next.Encoder(48_000, channels, application)
        encoder.bitrate = bitrate
        encoder.inband_fec, encoder.packet_loss_perc = 1, 10
        decoder = OpusDecoder(48_000, channels)
        out = np.zeros((960, channels), np.float32)
        for i in range(0, len(sound) - 960 * channels + 1, 960 * channels):
            packet = encoder.encode(sound[i : i + 960 * channels].tobytes(), 960)
            if rng.random() < 0.1:
                decoder.conceal(960, out)
            else:
                decoder.decode(packet, out)
            digest.update(out.tobytes())
            digest.update(decoder.final_range.to_bytes(8, "little"))
import node.stack, node.governed, node.joined
print(digest.hexdigest(), "numba" in sys.modules, "llvmlite" in sys.modules)
"""
MEMORY = """
import node.joined, node.governed, node.stack, node.opus.decoder
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, in_ci):
    if shutil.which("cc") is None:
        assert not in_ci, "a C compiler is missing: apt install gcc"
        pytest.skip("a C compiler is missing: apt install gcc")
    if not linked():
        pytest.skip("numba links by itself: a library is built with a newer one")
    one = tmp_path_factory.mktemp("built")
    build.build(one)
    return one


def run(script: str, kernels: str) -> list[str]:
    environment = {**os.environ, "LOALANG_KERNELS": kernels}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_node_with_the_library_loads_no_numba_and_its_sound_is_equal_to_the_bit(folder, capsys):
    shipped, compiled = run(PLAYED, str(folder)), run(PLAYED, "0")
    assert compiled[1:] == ["True", "True"]
    assert shipped[1:] == ["False", "False"]
    assert shipped[0] == compiled[0]
    sizes = [int(run(MEMORY, kernels)[0]) // 1024 for kernels in (str(folder), "0")]
    with capsys.disabled():
        print(f"\nmemory of a node's kernels and imports: {sizes[0]} MB, compiled {sizes[1]} MB")
    assert sizes[0] < 100 < sizes[1]


def test_a_library_of_other_sources_or_of_another_machine_is_not_taken(folder, tmp_path):
    says = "import node.kernel.shipped as s; print(s.library() is None, s.misfit())"
    assert run(says, str(folder)) == ["False"]
    library, stamp = sorted(folder.glob("loalang_kernels*"))
    other = tmp_path / library.name
    shutil.copy(stamp, tmp_path)
    assert "no" in run(says, str(tmp_path))
    other.write_bytes(library.read_bytes()[:400_000])
    assert "damaged" in run(says, str(tmp_path))
    shutil.copy(library, tmp_path)
    assert run(says, str(tmp_path)) == ["False"]
    (tmp_path / stamp.name).write_text(f"{hashlib.sha256(b'').hexdigest()} {'0' * 64}")
    assert "other" in run(says, str(tmp_path))
    (tmp_path / stamp.name).unlink()
    assert "read" in run(says, str(tmp_path))


def test_a_kernel_of_the_library_refuses_what_it_was_not_made_for(folder):
    script = """
import numpy as np
from node.audio.gain import apply_ramp
good = np.ones((4, 1), np.float32)
read_only = good.copy()
read_only.flags.writeable = False
bad = [good[::2], good.T[0], good.astype(float), [[1.0]], None, read_only]
for one in bad:
    try:
        apply_ramp(one, 1.0, 0.5, 0.9)
    except TypeError as fault:
        print("refused")
for arguments in ((), (good,), (good, "x", 1.0, 1.0)):
    try:
        apply_ramp(*arguments)
    except TypeError as fault:
        print("refused")
"""
    assert run(script, str(folder)) == ["refused"] * 9


def test_a_numba_that_links_by_itself_builds_no_library_and_the_fault_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "node.kernel.build", str(tmp_path)],
        env={**os.environ, "LOALANG_LINKER": "0"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (2, "", [])
    assert "newer" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_package_is_made_with_kernels_of_other_sources(tmp_path):
    """Its node would not start: there is no compiler on a pole."""
    (tmp_path / shipped.LIBRARY).write_bytes(b"")
    (tmp_path / (shipped.LIBRARY + shipped.STAMP)).write_text("0123456789abcdef 0")
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [root / "packaging" / "build.sh", tmp_path / "dist"],
        env=os.environ | {"KERNELS": str(tmp_path), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "made from other sources" in done.stderr
    assert not (tmp_path / "dist").exists() or not list((tmp_path / "dist").iterdir())
