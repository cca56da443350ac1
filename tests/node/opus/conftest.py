"""Recorded streams, ours: 39 in tests/data/opus, all 155 in the reference material."""

import json
from pathlib import Path

import numpy as np
import pytest

_FOLDER = Path(__file__).parents[2] / "data" / "opus"


def _packets(path):
    """Return (payload, the encoder's final range) of each packet of an opus_demo file."""
    data = path.read_bytes()
    found, at = [], 0
    while at < len(data):
        size, final_range = (int.from_bytes(data[at + 4 * i :][:4], "big") for i in range(2))
        payload = np.frombuffer(data[at + 8 : at + 8 + size], np.uint8).copy()
        found.append((payload, final_range))
        at += 8 + size
    return found


@pytest.fixture(scope="session")
def recorded():
    """Return a function from a stream's name to its packets and their final ranges."""
    return lambda name: _packets(_FOLDER / f"{name}.bit")


@pytest.fixture
def all_recorded(shared):
    """Return name and packets of each of the 155 streams, one after the other."""
    folder = shared / "opus_vectors" / "streams"
    names = sorted(json.loads((folder / "manifest.json").read_text())["streams"])
    return ((name, _packets(folder / f"{name}.bit")) for name in names)
