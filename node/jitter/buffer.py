"""One jitter buffer as an object: the arrays, and the kernels on them under plain names."""

from struct import Struct
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from node.config import JitterConfig
from node.counters import Count
from node.jitter import kernel
from node.jitter import state as at
from node.jitter.repair import Repair, next_request_ns, requests, watch
from node.jitter.state import Jitter, Packet, Slot, Steering
from node.kernel import kernel as compiled
from node.kernel.bound import bound
from node.kernel.record import Records, inner, new
from node.units import SAMPLES_PER_10_MS, SAMPLES_PER_MS, samples_to_ns

_LEVEL_MARGIN_MS = 1000
"""What may be held beyond the playout delay: a stall that ends brings its packets together."""

_SHORTEST_US = 2500
_SLOTS_MARGIN_MS = 200
_FOLLOWS_MAX = 64

_NO_BYTES = np.zeros(0, np.uint8)
_PACKET = Struct(f"={len(Packet.fields)}q")
"""A packet as it lies in memory: written at once, which costs a fourth of a row of numpy's."""

COUNTED: dict[Count, str] = {
    Count.PACKETS_ACCEPTED: "accepted",
    Count.PACKETS_DUPLICATE: "duplicate",
    Count.PACKETS_LATE: "late",
    Count.PACKETS_REORDERED: "reordered",
    Count.PACKETS_DISCARDED_EARLY: "too_early",
    Count.PACKETS_DISCARDED_PROBATION: "on_probation",
    Count.PACKETS_DISCARDED_FLUSHED: "flushed",
    Count.PACKETS_LOST: "lost",
    Count.SENDER_RESTARTS: "restarts",
}
"""Which field of the state holds which of the node's counts."""


def initial(config: JitterConfig) -> Records[Jitter]:
    """Return the state of a buffer before the first packet: an array of one."""
    longest_ms = config.playout_delay_ms + abs(config.delay_ms)
    if config.mode == "adaptive":
        longest_ms = config.delay_max_ms
    found = new(Jitter)
    found["mode"] = at.ADAPTIVE if config.mode == "adaptive" else at.SYNCHRONISED
    found["level_max"] = (longest_ms + _LEVEL_MARGIN_MS) * SAMPLES_PER_MS
    found["conceal_max"] = _whole_steps(config.conceal_max_ms)
    found["fade"] = _whole_steps(config.fade_ms)
    found["delay_min"] = config.delay_min_ms * SAMPLES_PER_MS
    found["delay_max"] = config.delay_max_ms * SAMPLES_PER_MS
    found["late_ppm"] = round(config.late_ratio * 1e6)
    for name in ("highest_sequence", "highest_arrival_ns", "probation_sequence", "pending_from"):
        found[name] = at.NONE
    found["floor_sequence"] = at.NONE
    found["run_since_ns"] = at.NONE
    found["last_samples"] = SAMPLES_PER_10_MS
    return found


def slots_for(config: JitterConfig) -> int:
    """Return how many packets a buffer must hold, a power of two: of 2.5 ms, for its longest delay.

    Never fewer than `SLOTS`.
    """
    longest_ms = config.playout_delay_ms + abs(config.delay_ms)
    if config.mode == "adaptive":
        longest_ms = config.delay_max_ms
    needed = -(-(longest_ms + _SLOTS_MARGIN_MS) * 1000 // _SHORTEST_US)
    return max(at.SLOTS, 1 << (needed - 1).bit_length())


def _whole_steps(duration_ms: int) -> int:
    """Return `duration_ms` in samples, rounded up to 2.5 ms, which a decoder can conceal."""
    step = 5 * SAMPLES_PER_MS // 2
    return -(-duration_ms * SAMPLES_PER_MS // step) * step


class JitterBuffer:
    """Holds the packets of one source and decides what plays next.

    Parameters
    ----------
    config : JitterConfig
        Mode and bounds.
    slots : int or None
        Packets held at most, a power of two; None: as many as the longest delay may need.
    payload_bytes : int
        Room for one payload; 0 keeps no payloads (simulation without sound).
    within : Records or None
        An array of one record with the fields `jitter`, `steering`, `packet`, `slots` and
        `slot_count`, in which this buffer's state lies; None: in records of its own.
    """

    def __init__(
        self,
        config: JitterConfig,
        *,
        slots: int | None = None,
        payload_bytes: int = at.PAYLOAD_BYTES_MAX,
        within: Records[Any] | None = None,
    ) -> None:
        slots = slots_for(config) if slots is None else slots
        if slots < 2 or slots & (slots - 1):
            raise ValueError(f"slots is {slots}: it must be a power of two")
        self.state = new(Jitter) if within is None else inner(within, "jitter", Jitter)
        self.steering = new(Steering) if within is None else inner(within, "steering", Steering)
        self.packet = new(Packet) if within is None else inner(within, "packet", Packet)
        self.slots = new(Slot, slots) if within is None else inner(within, "slots", Slot)[:slots]
        assert len(self.slots) == slots, "the longest delay that a configuration allows fits"
        if within is not None:
            within["slot_count"] = slots
        self.payloads: NDArray[np.uint8] = np.zeros((slots, payload_bytes), np.uint8)
        self._initial = initial(config)
        self._proven: NDArray[np.int64] = self.state["proven"]
        self._packet = cast(NDArray[Any], self.packet).view(np.uint8).data
        self._insert = bound(
            _insert, self.state, self.steering, self.slots, self.payloads, self.packet
        )
        self._pull = bound(_pull, self.state, self.steering, self.slots)
        self.reset()

    def reset(self) -> None:
        """Forget the stream and all counts."""
        self.state[:] = self._initial
        self.steering["reference"] = at.NONE
        self.slots["sequence"] = at.NONE
        self.slots["status"] = at.FREE

    def insert(
        self,
        sequence: int,
        timestamp: int,
        samples: int,
        now_ns: int,
        *,
        flags: int = 0,
        payload: NDArray[np.uint8] = _NO_BYTES,
    ) -> int:
        """Take one packet (see `kernel.insert`); return its slot or a negative reason.

        payload  (bytes,) uint8
        """
        _PACKET.pack_into(
            self._packet, 0, 0, len(payload), sequence, timestamp, samples, flags, now_ns
        )
        assert payload is _NO_BYTES or (payload.flags.c_contiguous and payload.ndim == 1)
        found: int = self._insert(payload)
        return found

    def pull(self, now_ns: int, buffered_samples: int = 0) -> int:
        """Decide the next chunk; return its action. Its details are in `state`."""
        found: int = self._pull(now_ns, buffered_samples)
        return found

    def seek(self, media_time_samples: int) -> None:
        """Let the next chunk be at `media_time_samples`; flush what is older."""
        _seek(self.state, self.slots, media_time_samples)

    def settle(self, *, ended: bool) -> None:
        """Book pending output as PAUSED when the source `ended`, else as a dropout."""
        _settle(self.state, int(ended))

    def hold(self, delay_ms: int) -> None:
        """Let media of a longer playout delay than the configured one be held."""
        wanted = (delay_ms + _LEVEL_MARGIN_MS) * SAMPLES_PER_MS
        self.state["level_max"][0] = max(int(self._initial["level_max"][0]), wanted)

    def follows(self, sequence: int) -> bool:
        """Return whether a sequence number comes soon after the newest one."""
        ahead = (sequence - int(self.state["highest_sequence"][0])) & 0xFFFF
        return 0 < ahead <= _FOLLOWS_MAX

    def skips_since(self, sequence: int) -> bool:
        """Return whether at least half of the numbers from that one on never came.

        What came too late or too early has come. Of a sender that has begun anew meanwhile nothing
        can be said: it counts from elsewhere.
        """
        numbers = (int(self.state["highest_sequence"][0]) - sequence + 1) & 0xFFFF
        came = sum(int(self.state[fate][0]) for fate in ("accepted", "late", "too_early"))
        has_restarted = self.state["restarts"][0] > 0
        return not has_restarted and numbers >= 2 * came - 1

    @property
    def packet_samples(self) -> int:
        """How long the newest packet lasts."""
        return int(self.state["highest_samples"][0])

    @property
    def accepted_ns(self) -> int:
        """How long the packets that it took last, all but the first, as long as the newest each."""
        return samples_to_ns((int(self.state["accepted"][0]) - 1) * self.packet_samples)

    @property
    def is_held(self) -> bool:
        """Whether there are packets that have not played."""
        return bool(self.state["held"][0] > 0)

    @property
    def is_proven(self) -> bool:
        """Whether this is Opus, as far as anybody can tell."""
        return bool(self._proven[0])

    @property
    def reading(self) -> int:
        """As what else it reads, see `opus.foreign`; 0: no idea."""
        return int(self.state["suspected"][0])

    @property
    def stamps_behind_samples(self) -> int:
        """Media time less RTP timestamp of what comes now; 0 unless stamps were not believed."""
        by_stamp = int(self.state["highest_media"][0] + self.state["deviation"][0])
        behind = (by_stamp - int(self.state["highest_timestamp"][0])) & 0xFFFF_FFFF
        return behind - (1 << 32) if behind >= 1 << 31 else behind

    def payload(self, slot: int) -> NDArray[np.uint8]:
        """Return the payload held in `slot`: (bytes,) uint8, a view."""
        return self.payloads[slot, : self.slots["length"][slot]]

    @property
    def level_samples(self) -> int:
        """Media held ahead without a hole, in samples."""
        return _level_samples(self.state, self.slots)

    @property
    def origin_samples(self) -> NDArray[np.int64]:
        """Output samples so far by `counters.Origin`: (ORIGINS,) int64, a view."""
        origin_samples: NDArray[np.int64] = self.state["origin_samples"][0]
        return origin_samples

    def counts(self) -> dict[Count, int]:
        """Return what became of the packets, by name."""
        return {name: int(self.state[field][0]) for name, field in COUNTED.items()}


class Missing:
    """What is missing of a buffer's stream, and what of it to ask for.

    Parameters
    ----------
    buffer : JitterBuffer
        Of the stream.
    repair : Records[Repair]
        An array of one, where it is noted.
    """

    def __init__(self, buffer: JitterBuffer, repair: Records[Repair]) -> None:
        self._watch = bound(_watch, repair, buffer.state, buffer.slots)
        self._requests = bound(_requests, repair, buffer.state, buffer.slots)
        self._next_request_ns = bound(_next_request_ns, repair, buffer.state)
        self._request: NDArray[np.int64] = repair["request"][0]

    def watch(self, now_ns: int) -> int:
        """Note the holes before the newest packet, after each insertion; return how many."""
        return int(self._watch(now_ns))

    def requests(self, now_ns: int, plays_ns: int, round_trip_ns: int) -> tuple[int, ...]:
        """Return the sequence numbers to ask for now; see `repair.requests`."""
        count = self._requests(now_ns, plays_ns, round_trip_ns)
        return tuple(self._request[:count].tolist()) if count else ()

    def next_request_ns(self) -> int:
        """Return when `requests` may have something to ask for again, or NONE."""
        return int(self._next_request_ns())


@compiled("int64(Jitter[::1], Steering[::1], Slot[::1], uint8[:, ::1], Packet[::1], uint8[::1])")
def _insert(
    state: Records[Jitter],
    steering: Records[Steering],
    slots: Records[Slot],
    payloads: NDArray[np.uint8],
    packet: Records[Packet],
    data: NDArray[np.uint8],
) -> int:
    """See `kernel.insert`."""
    return kernel.insert(state[0], steering[0], slots, payloads, data, packet[0])


@compiled("int64(Jitter[::1], Steering[::1], Slot[::1], int64, int64)")
def _pull(
    state: Records[Jitter],
    steering: Records[Steering],
    slots: Records[Slot],
    now_ns: int,
    buffered_samples: int,
) -> int:
    """See `kernel.pull`."""
    return kernel.pull(state[0], steering[0], slots, now_ns, buffered_samples)


@compiled("void(Jitter[::1], Slot[::1], int64)")
def _seek(state: Records[Jitter], slots: Records[Slot], media_time: int) -> None:
    """See `kernel.seek`."""
    kernel.seek(state[0], slots, media_time)


@compiled("void(Jitter[::1], int64)")
def _settle(state: Records[Jitter], ended: int) -> None:
    """See `kernel.settle`."""
    kernel.settle(state[0], ended)


@compiled("int64(Jitter[::1], Slot[::1])")
def _level_samples(state: Records[Jitter], slots: Records[Slot]) -> int:
    """See `kernel.level_samples`."""
    return kernel.level_samples(state[0], slots)


@compiled("int64(Repair[::1], Jitter[::1], Slot[::1], int64)")
def _watch(
    repair: Records[Repair], state: Records[Jitter], slots: Records[Slot], now_ns: int
) -> int:
    """See `repair.watch`."""
    return watch(repair[0], state[0], slots, now_ns)


@compiled("int64(Repair[::1], Jitter[::1], Slot[::1], int64, int64, int64)")
def _requests(
    repair: Records[Repair],
    state: Records[Jitter],
    slots: Records[Slot],
    now_ns: int,
    plays_ns: int,
    round_trip_ns: int,
) -> int:
    """See `repair.requests`."""
    return requests(repair[0], state[0], slots, now_ns, plays_ns, round_trip_ns)


@compiled("int64(Repair[::1], Jitter[::1])")
def _next_request_ns(repair: Records[Repair], state: Records[Jitter]) -> int:
    """See `repair.next_request_ns`."""
    return next_request_ns(repair[0], state[0])
