"""What a few nodes play: how loud beside the programme, and a fingerprint of every sample.

Options: --fast (20 s), --row NAME (one row alone).

Counts say that sound was played, not that it was heard: a node that decides everything right and
renders zeros has no loudness here.
"""

import zlib
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import table
from benchmarks.options import fast_and_row
from benchmarks.village import matrix
from node.audio.loudness import LoudnessMeter
from node.config import ConfigError
from sim.drive import run as drive
from sim.station.programme import read_sound
from sim.village import scenario
from sim.village.scenario import Scenario

FAST_S: Final = 20.0
FULL_S: Final = 60.0
PROFILE: Final = "pi-4b-usb"
ROWS: Final = {
    f"{playout} {PROFILE.replace('-', '_')} {bearer}": (playout, bearer)
    for playout in matrix.PLAYOUTS
    for bearer in ("ftth", "lte_good", "lte_weak")
}
_SEED: Final = 1


def measure(*, fast: bool, row: str | None = None) -> dict[str, dict[str, float | None]]:
    """Return for each row how far its loudness is from the programme's, and its fingerprint.

    Raises
    ------
    ConfigError
        When there is no such row.
    """
    if row is not None and row not in ROWS:
        raise ConfigError(f"--row {row!r}: must be one of {', '.join(ROWS)}")
    found: dict[str, dict[str, float | None]] = {}
    for playout in dict.fromkeys(one for one, _ in ROWS.values()):
        rows = {
            f"{PROFILE}-{bearer}".replace("_", "-"): name
            for name, (of, bearer) in ROWS.items()
            if of == playout and row in (None, name)
        }
        if rows:
            asked = _asked(playout, fast=fast)
            played = drive.capture(asked, list(rows))
            found |= {rows[node]: _figures(asked, sound) for node, sound in played.items()}
    return found


def run(arguments: list[str]) -> int:
    """Print and write what the nodes play; return 0."""
    fast, row = fast_and_row("sound", __doc__, arguments)
    table.show("sound", "Sound of a few nodes", measure(fast=fast, row=row))
    return 0


def _asked(playout: str, *, fast: bool) -> Scenario:
    return replace(matrix.village(playout), seed=_SEED, duration_s=FAST_S if fast else FULL_S)


def _figures(asked: Scenario, sound: NDArray[np.float32]) -> dict[str, float | None]:
    path = scenario.sound_file(asked)
    assert path is not None, "it ships"
    programme = np.resize(read_sound(path), int(asked.duration_s * 48_000)).astype(np.float32)
    heard, sent = _loudness(sound), _loudness(programme)
    off = None if heard is None or sent is None else round(abs(heard - sent), 3)
    return {"loudness_off_lu": off, "sound_crc32": float(zlib.crc32(sound.tobytes()))}


def _loudness(sound: NDArray[np.float32]) -> float | None:
    """Return the integrated loudness of mono sound in LUFS (EBU R 128), None for silence."""
    if not sound.any():
        return None
    meter = LoudnessMeter(1)
    meter.add(np.ascontiguousarray(sound.reshape(-1, 1)))
    return meter.integrated_lufs
