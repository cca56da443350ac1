"""What all tests share: where the reference material lies, and how its absence is reported."""

import os
from pathlib import Path

import numpy as np
import opuslib_next
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

settings.register_profile(
    "ci",
    deadline=None,  # kernels may compile
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("user", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "user")

_SHELL = "tests/node/shell"
REAL_TIME = (
    "tests/acceptance/",
    *(f"{_SHELL}/{one}" for one in ("test_", "broker/", "network/", "poles/", "sounds/", "store/")),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what must not share its processor with the rest of the suite."""
    for item in items:
        if any(folder in item.path.as_posix() for folder in REAL_TIME):
            item.add_marker(pytest.mark.real_time)


SHARED = Path(os.environ.get("LOALANG_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference material (streams, traces), or skip loudly without it."""
    if not SHARED.is_dir():
        pytest.skip(f"no reference material at {SHARED}: set LOALANG_SHARED to its folder")
    return SHARED


@pytest.fixture(scope="session")
def in_ci() -> bool:
    """Return whether a missing Debian program must fail a test instead of skipping it."""
    return bool(os.environ.get("CI"))


@pytest.fixture(scope="session")
def programme() -> list[bytes]:
    """Return 500 Opus packets of 20 ms, mono, with in-band FEC: a voice-like sweep, 10 s."""
    encoder = opuslib_next.Encoder(48_000, 1, opuslib_next.APPLICATION_VOIP)
    encoder.bitrate = 24_000
    encoder.inband_fec = 1
    encoder.packet_loss_perc = 10
    t = np.arange(10 * 48_000) / 48_000
    tone: NDArray[np.float64] = sum(
        0.2 / k * np.sin(2 * np.pi * k * (140 * t + 20 * np.sin(2 * np.pi * 0.7 * t)))
        for k in range(1, 12)
    )
    tone *= 0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)
    samples = (tone * 20_000).astype("<i2")
    return [
        bytes(encoder.encode(samples[i : i + 960].tobytes(), 960))
        for i in range(0, len(samples), 960)
    ]
