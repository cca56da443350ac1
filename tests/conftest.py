"""What all tests share: where the reference material lies, and how its absence is reported."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    deadline=None,  # kernels may compile
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("user", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "user")

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
