"""Which unverified input moves the answer: what to measure before buying.

First-order and total effects by the estimators of Saltelli et al. (Comput. Phys. Commun. 181, 2010)
and Jansen (Comput. Phys. Commun. 117, 1999): two tables of draws, and for each input the first one
with that column from the second. The dice are the same for all of them, so that what differs is the
input and nothing else.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.chance.rng import Purpose, raw_draws, stream

_RESAMPLES: Final = 400
_LEVEL: Final = 0.9


@dataclass(frozen=True, slots=True)
class Effect:
    """How much of the answer's variance hangs on one input."""

    name: str
    first: float
    """By itself."""

    total: float
    """With all that it does together with others."""

    total_low: float | None
    total_high: float | None
    """Where the total effect lies, in 90 % of such studies; None where the answer was the same at
    all points: what moves it is then not known."""


def design(seed: int, names: list[str], base: int) -> NDArray[np.float64]:
    """Return points of the unit cube: (base * (inputs + 2), inputs) float64.

    Table A, table B, then A with one column of B after the other. Each input has a stream of its
    own: another input moves none of the draws.
    """
    halves = []
    for name in names:
        bits = stream(seed, Purpose.SAMPLE, node=f"sensitivity/{name}")
        halves.append((raw_draws(bits, 2 * base) >> np.uint64(11)).astype(np.float64) / (1 << 53))
    both = np.stack(halves, axis=1)
    a, b = both[0::2], both[1::2]
    mixed = []
    for i in range(len(names)):
        one = a.copy()
        one[:, i] = b[:, i]
        mixed.append(one)
    return np.concatenate([a, b, *mixed])


def effects(seed: int, names: list[str], answers: NDArray[np.float64]) -> list[Effect]:
    """Return the effects of all inputs, the largest total first.

    Parameters
    ----------
    seed : int
        Of the resampling.
    names : list of str
    answers : (base * (inputs + 2),) float64
        Of the points of `design`, in their order; any one unit.
    """
    if float(answers.max() - answers.min()) <= 0:
        return [Effect(name, 0.0, 0.0, None, None) for name in sorted(names)]
    base = answers.size // (len(names) + 2)
    table = answers.reshape(len(names) + 2, base)
    bits = stream(seed, Purpose.SAMPLE, node="sensitivity/again")
    again = (raw_draws(bits, _RESAMPLES * base) % np.uint64(base)).astype(np.int64)
    rows = again.reshape(_RESAMPLES, base)
    found = []
    for i, name in enumerate(names):
        first, total = _estimate(table[0], table[1], table[2 + i])
        many = [
            _estimate(*(one[row] for one in (table[0], table[1], table[2 + i])))[1] for row in rows
        ]
        tail = (1 - _LEVEL) / 2
        low, high = np.quantile(many, [tail, 1 - tail]).tolist()
        found.append(Effect(name, first, total, low, high))
    return sorted(found, key=lambda one: (-one.total, one.name))


def _estimate(
    a: NDArray[np.float64], b: NDArray[np.float64], mixed: NDArray[np.float64]
) -> tuple[float, float]:
    """Return first-order (Saltelli) and total effect (Jansen) of one input."""
    spread = float(np.concatenate([a, b]).var())
    if spread <= 0:
        return 0.0, 0.0
    middle = float(np.concatenate([a, b]).mean())
    first = float(np.mean((b - middle) * (mixed - a))) / spread
    total = float(np.mean((a - mixed) ** 2)) / 2 / spread
    return first, total
