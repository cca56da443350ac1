"""Where the sentences of a stored sound begin: found when it is stored, kept beside it.

`<hash>.sentences` is one number per line: the 20 ms packets after a pause, with 40 ms of it before
them. Without the file a sound that was cut off goes on where it was.
"""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.opus.protocol import Decoder
from node.shell.store.whole import write_file
from node.units import RATE_HZ

PAUSE_MS: Final = 300
"""Shorter is a breath or a stop consonant within a sentence."""

GATE_DB: Final = 30.0
"""Softer than the loud parts (their 95th percentile) by so much is a pause."""

SILENCE_DBFS: Final = -60.0

_PACKET_SAMPLES: Final = RATE_HZ // 50
_PAUSE_PACKETS: Final = PAUSE_MS // 20
_LEAD_PACKETS: Final = 2
_SENTENCES_MAX: Final = 100_000


def find_sentences(
    packets: tuple[bytes, ...], decoder_factory: Callable[[int, int], Decoder]
) -> tuple[int, ...]:
    """Return the packets with which sentences begin, by an energy gate on what they sound like."""
    levels_dbfs = _levels_dbfs(packets, decoder_factory(RATE_HZ, 1))
    gate_dbfs = max(float(np.percentile(levels_dbfs, 95)) - GATE_DB, SILENCE_DBFS)
    found = [0]
    quiet = 0
    for number, level_dbfs in enumerate(levels_dbfs):
        if level_dbfs >= gate_dbfs and quiet >= _PAUSE_PACKETS and number > quiet:
            found.append(number - _LEAD_PACKETS)
        quiet = quiet + 1 if level_dbfs < gate_dbfs else 0
    return tuple(found)


def read_sentences(sound: Path, packets: int) -> tuple[int, ...]:
    """Return what is kept beside `sound`; nothing where there is no such file, or a wrong one."""
    try:
        text = sound.with_suffix(".sentences").read_text("ascii")
        found = tuple(int(line) for line in text.split()[:_SENTENCES_MAX])
    except (OSError, ValueError):
        return ()
    rising = all(a < b for a, b in pairwise(found))
    return found if found and rising and 0 <= found[0] and found[-1] < packets else ()


def write_sentences(sound: Path, sentences: tuple[int, ...]) -> None:
    """Keep `sentences` beside `sound`.

    Raises
    ------
    ShellError
        If the file cannot be written.
    """
    path = sound.with_suffix(".sentences")
    write_file(path, ("\n".join(map(str, sentences)) + "\n").encode("ascii"))


def _levels_dbfs(packets: tuple[bytes, ...], decoder: Decoder) -> NDArray[np.float64]:
    out = np.zeros((_PACKET_SAMPLES, 1), np.float32)
    levels = np.full(len(packets), -200.0)
    for number, packet in enumerate(packets):
        if decoder.decode(np.frombuffer(bytearray(packet), np.uint8), out) > 0:
            power = float(np.mean(out.astype(np.float64) ** 2))
            levels[number] = 10 * np.log10(power + 1e-20)
    return levels
