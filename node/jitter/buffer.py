"""One jitter buffer as an object: the arrays, and the kernels on them under plain names."""

import numpy as np
from numpy.typing import NDArray

from node.config import JitterConfig
from node.counters import ORIGINS, Count
from node.jitter import kernel
from node.jitter import state as at
from node.units import SAMPLES_PER_MS

_LEVEL_MARGIN_MS = 1000
"""What may be held beyond the playout delay: a stall that ends brings its packets together."""

_SHORTEST_US = 2500
_SLOTS_MARGIN_MS = 200
_FOLLOWS_MAX = 64

_NO_BYTES = np.zeros(0, np.uint8)

COUNTED: dict[Count, int] = {
    Count.PACKETS_ACCEPTED: at.C_ACCEPTED,
    Count.PACKETS_DUPLICATE: at.C_DUPLICATE,
    Count.PACKETS_LATE: at.C_LATE,
    Count.PACKETS_REORDERED: at.C_REORDERED,
    Count.PACKETS_DISCARDED_EARLY: at.C_EARLY,
    Count.PACKETS_DISCARDED_PROBATION: at.C_PROBATION,
    Count.PACKETS_DISCARDED_FLUSHED: at.C_FLUSHED,
    Count.PACKETS_LOST: at.C_LOST,
    Count.SENDER_RESTARTS: at.C_RESTARTS,
}
"""Which place of the state holds which of the node's counts."""


def parameters(config: JitterConfig) -> NDArray[np.int64]:
    """Return what `kernel.reset` takes: (PARAMETERS,) int64, in samples at 48 kHz."""
    found = np.zeros(at.PARAMETERS, np.int64)
    longest_ms = config.playout_delay_ms + abs(config.delay_ms)
    if config.mode == "adaptive":
        longest_ms = config.delay_max_ms
        found[at.MODE] = at.ADAPTIVE
    found[at.LEVEL_MAX] = (longest_ms + _LEVEL_MARGIN_MS) * SAMPLES_PER_MS
    found[at.CONCEAL_MAX] = _whole_steps(config.conceal_max_ms)
    found[at.FADE] = _whole_steps(config.fade_ms)
    found[at.DELAY_SAMPLES] = config.playout_delay_ms * SAMPLES_PER_MS
    found[at.DELAY_MIN] = config.delay_min_ms * SAMPLES_PER_MS
    found[at.DELAY_MAX] = config.delay_max_ms * SAMPLES_PER_MS
    found[at.LATE_PPM] = round(config.late_ratio * 1e6)
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
    """

    def __init__(
        self,
        config: JitterConfig,
        *,
        slots: int | None = None,
        payload_bytes: int = at.PAYLOAD_BYTES_MAX,
    ) -> None:
        slots = slots_for(config) if slots is None else slots
        if slots < 2 or slots & (slots - 1):
            raise ValueError(f"slots is {slots}: it must be a power of two")
        self.state: NDArray[np.int64] = np.zeros(at.STATE_SIZE, np.int64)
        self.slots: NDArray[np.int64] = np.zeros((slots, at.SLOT_FIELDS), np.int64)
        self.payloads: NDArray[np.uint8] = np.zeros((slots, payload_bytes), np.uint8)
        self._parameters = parameters(config)
        self.reset()

    def reset(self) -> None:
        """Forget the stream and all counts."""
        kernel.reset(self.state, self.slots, self._parameters)

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
        """Take one packet (see `kernel.insert`); return its slot or a negative reason."""
        return kernel.insert(
            self.state,
            self.slots,
            self.payloads,
            payload,
            0,
            payload.size,
            sequence,
            timestamp,
            samples,
            flags,
            now_ns,
        )

    def pull(self, now_ns: int, buffered_samples: int = 0) -> int:
        """Decide the next chunk; return its action. Its details are in `state`."""
        return kernel.pull(self.state, self.slots, now_ns, buffered_samples)

    def seek(self, media_time_samples: int) -> None:
        """Let the next chunk be at `media_time_samples`; flush what is older."""
        kernel.seek(self.state, self.slots, media_time_samples)

    def settle(self, *, ended: bool) -> None:
        """Book pending output as PAUSED when the source `ended`, else as a dropout."""
        kernel.settle(self.state, int(ended))

    def hold(self, delay_ms: int) -> None:
        """Let media of a longer playout delay than the configured one be held."""
        wanted = (delay_ms + _LEVEL_MARGIN_MS) * SAMPLES_PER_MS
        self.state[at.LEVEL_MAX] = max(int(self._parameters[at.LEVEL_MAX]), wanted)

    def follows(self, sequence: int) -> bool:
        """Return whether a sequence number comes soon after the newest one."""
        ahead = (sequence - int(self.state[at.HIGHEST_SEQUENCE])) & 0xFFFF
        return 0 < ahead <= _FOLLOWS_MAX

    @property
    def packet_samples(self) -> int:
        """How long the newest packet lasts."""
        return int(self.state[at.HIGHEST_SAMPLES])

    @property
    def is_held(self) -> bool:
        """Whether there are packets that have not played."""
        return bool(self.state[at.HELD] > 0)

    @property
    def is_proven(self) -> bool:
        """Whether this is Opus, as far as anybody can tell."""
        return bool(self.state[at.PROVEN])

    @property
    def stamps_behind_samples(self) -> int:
        """Media time less RTP timestamp of what comes now; 0 unless stamps were not believed."""
        by_stamp = int(self.state[at.HIGHEST_MEDIA] + self.state[at.DEVIATION])
        behind = (by_stamp - int(self.state[at.HIGHEST_TIMESTAMP])) & 0xFFFF_FFFF
        return behind - (1 << 32) if behind >= 1 << 31 else behind

    def payload(self, slot: int) -> NDArray[np.uint8]:
        """Return the payload held in `slot` (a view)."""
        return self.payloads[slot, : self.slots[slot, at.SLOT_LENGTH]]

    @property
    def level_samples(self) -> int:
        """Media held ahead without a hole, in samples."""
        return kernel.level_samples(self.state, self.slots)

    @property
    def origin_samples(self) -> NDArray[np.int64]:
        """Output samples so far by `counters.Origin`: (ORIGINS,) int64, a view."""
        return self.state[at.O_FIRST : at.O_FIRST + ORIGINS]

    def counts(self) -> dict[Count, int]:
        """Return what became of the packets, by name."""
        return {name: int(self.state[place]) for name, place in COUNTED.items()}
