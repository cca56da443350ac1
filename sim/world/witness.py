"""Who looks on at a pole of the world, and changes nothing."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from node.events import Event


class Witness(Protocol):
    """Somebody who stands at a pole and looks on."""

    def note_sound(self, sound: NDArray[np.float32], leaves_ns: int) -> None:
        """Hear sound whose first sample leaves the horn at that true time.

        sound  (n, channels) float32, full scale 1.0
        """

    def note_order(self, payload: bytes, fate: str, at_ns: int) -> None:
        """See an order come, and what the node made of it."""

    def note_event(self, event: Event, at_ns: int) -> None:
        """See what the node tells its shell."""

    def note_power(self, at_ns: int, *, on: bool) -> None:
        """See the daemon begin, or end."""
