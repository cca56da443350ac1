"""Many jitter buffers at once: one more axis of the arrays, and no Python per packet.

The kernels are those of the node, so a province counts what each of its nodes would have counted.
A part of the nodes is one call that gives the interpreter's lock back: as many parts as threads
run side by side, and how the nodes are cut changes no count.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.config import JitterConfig
from node.jitter import state as at
from node.jitter.buffer import initial
from node.jitter.kernel import admit, pull, seek
from node.jitter.state import Jitter, Packet, Slot, Steering
from node.kernel import inner_kernel, kernel
from node.kernel.conversions import ns_to_samples, samples_to_ns
from node.kernel.record import Record, Records, nested, new, whole

NODES_MAX: Final = 100_000
"""64 slots and a state: 5 kB each synchronised, 8 kB adaptive."""

SLOTS: Final = 64
"""Packets held by each: 1.3 s of 20 ms packets."""


class Arrival(Record):
    """One packet of a programme as it comes to one node."""

    packet: int = whole("", "Which of them it is.")
    at_ns: int = whole("ns", "When it comes; -1: never.")


class Hearing(Record):
    """What a programme is to one node, and room for the packet that comes."""

    start_samples: int = whole(
        "samples", "Synchronised: media time 0 plays at this sample; adaptive: -1."
    )
    samples: int = whole("samples", "Duration of each packet.")
    packet: Records[Packet] = nested(Packet, "The one that comes; scratch.", (1,))


@inner_kernel("void(Jitter, Steering, Slot[::1], Hearing, int64[::1], Arrival[::1])")
def play_programme(
    state: Jitter,
    steering: Steering,
    slots: Records[Slot],
    hearing: Hearing,
    media: NDArray[np.int64],
    coming: Records[Arrival],
) -> None:
    """Play a programme to one node whose card takes each chunk as the last one ends.

    media   (packets,) int64, media time of each packet in samples, the first 0
    coming  (packets,) in order of arrival; those that never come first
    """
    samples = hearing.samples
    start = hearing.start_samples
    packet = hearing.packet[0]
    took = 0
    while took < coming.shape[0] and coming[took].at_ns < 0:
        took += 1
    if took == coming.shape[0]:
        return
    now = max(start, ns_to_samples(coming[took].at_ns))
    end = start + media[media.shape[0] - 1] + samples
    while start < 0 or now < end:
        now_ns = -samples_to_ns(-now)
        while took < coming.shape[0] and coming[took].at_ns <= now_ns:
            one = coming[took].packet
            packet.samples = samples
            packet.marks = 0
            packet.length = 0
            packet.sequence = one & 0xFFFF
            packet.timestamp = media[one] & 0xFFFF_FFFF
            packet.arrival_ns = coming[took].at_ns
            admit(state, steering, slots, packet)
            took += 1
        if start >= 0 and state.phase == at.WAITING:
            seek(state, slots, now - start)
        pull(state, steering, slots, now_ns, 0)
        now += state.action_samples + state.action_stretch_samples
        if took == coming.shape[0] and state.held == 0:
            break


@kernel("void(Jitter[::1], Steering[::1], Slot[:, ::1], Hearing[::1], int64[::1], Arrival[:, ::1])")
def _play_rows(
    states: Records[Jitter],
    steering: Records[Steering],
    slots: NDArray[np.void],
    hearings: Records[Hearing],
    media: NDArray[np.int64],
    coming: NDArray[np.void],
) -> None:
    """Play a programme to each node: `play_programme` on one row of the arrays after the other.

    steering  (nodes,), or (1,) where they are synchronised: nobody looks at it
    """
    for row in range(states.shape[0]):
        learnt = steering[row % steering.shape[0]]
        play_programme(states[row], learnt, slots[row], hearings[row], media, coming[row])


@dataclass(frozen=True, slots=True)
class Programme:
    """The packets of one sender, and when each came to each node."""

    media: NDArray[np.int64]
    """(packets,) media time of each packet in samples; the first is 0."""

    samples: int
    """Of a packet."""

    arrivals_ns: NDArray[np.int64]
    """(nodes, packets) when each came, -1: never."""

    coming: NDArray[np.void]
    """(nodes, packets) of `Arrival`, each node's in order of arrival; `programme` finds it."""


def programme(media: NDArray[np.int64], samples: int, arrivals_ns: NDArray[np.int64]) -> Programme:
    """Return a programme; ties of arrival go to the lower packet.

    media        (packets,) int64, media time of each packet in samples, the first 0
    samples      of a packet
    arrivals_ns  (nodes, packets) int64, when each came, -1: never
    """
    coming = np.zeros(arrivals_ns.shape, Arrival.dtype)
    coming["packet"] = np.argsort(arrivals_ns, axis=1, kind="stable")
    coming["at_ns"] = np.take_along_axis(arrivals_ns, coming["packet"], axis=1)
    return Programme(media, samples, arrivals_ns, coming)


class JitterBatch:
    """The jitter buffers of many nodes with one configuration, for counting without sound.

    Parameters
    ----------
    config : JitterConfig
        Mode and bounds, of all of them.
    nodes : int
        How many, 1 to NODES_MAX.
    slots : int
        Packets that each can hold, a power of two.
    parts : int
        Into how many parts each call is cut: as many as there are threads.

    Raises
    ------
    ValueError
        If one of these is outside its range.
    """

    def __init__(
        self, config: JitterConfig, nodes: int, *, slots: int = SLOTS, parts: int = 1
    ) -> None:
        if not 1 <= parts <= nodes <= NODES_MAX or slots < 2 or slots & (slots - 1):
            raise ValueError(
                f"nodes is {nodes}, parts is {parts}, slots is {slots}: "
                f"must be at most {NODES_MAX}, 1 to nodes, and a power of two"
            )
        self._is_adaptive = config.mode == "adaptive"
        self.states = new(Jitter, nodes)
        self.states[:] = initial(config)
        self._steering = new(Steering, nodes if self._is_adaptive else 1)
        self._steering["reference"] = at.NONE
        self.slots = np.zeros((nodes, slots), Slot.dtype)
        self.slots["sequence"] = at.NONE
        edges = [nodes * part // parts for part in range(parts + 1)]
        self._parts = [slice(*pair) for pair in pairwise(edges)]

    def play(
        self,
        heard: Programme,
        *,
        starts: NDArray[np.int64] | None = None,
        run: Callable[..., Iterable[None]] = map,
    ) -> None:
        """Play one programme to every node.

        Parameters
        ----------
        heard : Programme
            Its packets, and when they came.
        starts : (nodes,) int64
            Synchronised: when media time 0 plays, in samples.
        run : callable like `map`
            `ThreadPoolExecutor.map` plays the parts side by side.

        Raises
        ------
        ValueError
            If the shapes do not fit, or `starts` is missing or superfluous.
        """
        nodes = self.states.shape[0]
        shape = heard.arrivals_ns.shape
        if shape != (nodes, heard.media.size) or (starts is None) != self._is_adaptive:
            raise ValueError(
                f"arrivals_ns is {shape}: must be ({nodes}, {heard.media.size}); "
                f"starts is {'missing' if starts is None else 'given'} "
                f"{'adaptive' if self._is_adaptive else 'synchronised'}"
            )
        begins = np.full(nodes, -1, np.int64) if starts is None else starts

        def play_part(part: slice) -> None:
            hearings = new(Hearing, part.stop - part.start)
            hearings["samples"] = heard.samples
            hearings["start_samples"] = begins[part]
            steering = self._steering[part] if self._is_adaptive else self._steering
            _play_rows(
                self.states[part], steering, self.slots[part], hearings, heard.media,
                heard.coming[part],
            )  # fmt: skip

        for _ in run(play_part, self._parts):
            pass

    @property
    def origin_samples(self) -> NDArray[np.int64]:
        """Output samples of each node by `counters.Origin`: (nodes, ORIGINS) int64, a view."""
        origin_samples: NDArray[np.int64] = self.states["origin_samples"]
        return origin_samples
