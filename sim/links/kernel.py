"""One direction of one link, packet by packet: loss, outage, queue, stall, transit, order kept."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel

LOST_NS: Final = -1
"""Arrival of a packet that never comes."""

# Parameters, index into (PARAMETERS,) int64.
ENTER_LOSS: Final = 0
"""Of 2**32: good to bad state, per packet (Gilbert-Elliott; all packets in the bad state go)."""
LEAVE_LOSS: Final = 1
"""Of 2**32: bad to good state."""
ONE_WAY_NS: Final = 2
TRANSMIT_NS: Final = 3
"""Time that one packet takes at the rate of the link."""
QUEUE_NS: Final = 4
PARAMETERS: Final = 5

# State, index into (STATES,) int64.
BAD: Final = 0
FREE_NS: Final = 1
"""When the packets before have left the queue."""
NEWEST_NS: Final = 2
"""Latest arrival so far: the link keeps the order."""
STATES: Final = 3


@kernel("int64(int64[:, ::1], int64, int64)")
def find_spell(spells: NDArray[np.int64], first: int, at_ns: int) -> int:
    """Return the row of the first spell from `first` on that ends after `at_ns`.

    spells  (n, 3) int64: start ns, end ns, delay ns; sorted, not overlapping
    first   row to begin at
    """
    while first < spells.shape[0] and spells[first, 1] <= at_ns:
        first += 1
    return first


@kernel(
    "void(int64[::1], int64[::1], uint64[::1], int64[::1], int64[:, ::1], int64[:, ::1],"
    " int64[:, ::1], int64[::1], int64[::1])"
)
def traverse(
    state: NDArray[np.int64],
    parameters: NDArray[np.int64],
    raw: NDArray[np.uint64],
    jitter_ns: NDArray[np.int64],
    stalls: NDArray[np.int64],
    busy: NDArray[np.int64],
    outages: NDArray[np.int64],
    depart_ns: NDArray[np.int64],
    arrive_ns: NDArray[np.int64],
) -> None:
    """Send packets through a link; `arrive_ns` gets LOST_NS or an arrival per packet.

    state                   (STATES,) int64, kept between calls: a flag, then ns
    parameters              (PARAMETERS,) int64: shares of 2**32, then ns
    raw                     (n,) uint64, bits of one draw per packet, used or not
    jitter_ns               (n,) int64 >= 0
    stalls, busy, outages   (m, 3) int64: start, end, added delay in ns
    depart_ns               (n,) int64, LOST_NS for what was lost before; in order otherwise
    arrive_ns               (n,) int64, filled
    """
    stall = 0
    spell = 0
    outage = 0
    for i in range(depart_ns.shape[0]):
        draw = np.int64(raw[i] >> np.uint64(32))
        if state[BAD] != 0:
            if draw < parameters[LEAVE_LOSS]:
                state[BAD] = 0
        elif draw < parameters[ENTER_LOSS]:
            state[BAD] = 1
        arrive_ns[i] = LOST_NS
        if depart_ns[i] == LOST_NS or state[BAD] != 0:
            continue
        at_ns = depart_ns[i]
        outage = find_spell(outages, outage, at_ns)
        if outage < outages.shape[0] and at_ns >= outages[outage, 0]:
            continue
        start_ns = max(at_ns, state[FREE_NS])
        stall = find_spell(stalls, stall, start_ns)
        if stall < stalls.shape[0] and start_ns >= stalls[stall, 0]:
            start_ns = stalls[stall, 1]
        if start_ns - at_ns > parameters[QUEUE_NS]:
            continue
        state[FREE_NS] = start_ns + parameters[TRANSMIT_NS]
        reach_ns = state[FREE_NS] + parameters[ONE_WAY_NS] + jitter_ns[i]
        spell = find_spell(busy, spell, start_ns)
        if spell < busy.shape[0] and start_ns >= busy[spell, 0]:
            reach_ns += busy[spell, 2]
        # What was sent later does not overtake: one queue per bearer and class (3GPP, RLC in
        # order; one AP queue for Wi-Fi).
        state[NEWEST_NS] = max(state[NEWEST_NS], reach_ns)
        arrive_ns[i] = state[NEWEST_NS]
