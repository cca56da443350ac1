"""What every source is, whoever fills its jitter buffer: packets held, time base, sound, books.

```
 network ─► Receiver ─────┐
                          ├─► Playable: jitter buffer ─► time base ─► decoder ─► horn
 file ────► StoredSource ─┘
```
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from node.audio import resampler
from node.audio.levelling import Leveller
from node.clock.servo import new_servo
from node.clock.timebase import Timebase
from node.config import NodeConfig
from node.counters import Count, Origin
from node.jitter.buffer import COUNTED, JitterBuffer
from node.jitter.state import PAYLOAD_BYTES_MAX
from node.kernel.bound import bound
from node.kernel.record import Records, inner, new_apart, zeros_apart
from node.opus.protocol import Decoder
from node.source import entry
from node.source import state as ss
from node.source.chunk_sound import ChunkSound
from node.source.journal import copy_journal
from node.source.state import Played, Playout, Source
from node.units import NS_PER_MS, RATE_HZ, SAMPLES_PER_MS


class Playable(ABC):
    """One source as the horn sees it; who owns it puts packets into its jitter buffer.

    Parameters
    ----------
    config : NodeConfig
        Of the node.
    ssrc : int
        Of the source, 32 bits.
    decoder : Decoder or None
        None counts only: everything is decided and booked, nothing decoded (for the simulator).
    slots : int or None
        Packets held at most, a power of two; None: as many as the longest delay may need.
    """

    def __init__(
        self, config: NodeConfig, ssrc: int, decoder: Decoder | None, *, slots: int | None = None
    ) -> None:
        self.ssrc = ssrc
        self.ended = False
        self.place = 0
        self._source = source = new_apart(Source)
        source["ssrc"] = ssrc
        source["servo"] = new_servo()
        self.timebase = Timebase(
            config.jitter.playout_delay_ms * NS_PER_MS,
            own_delay_ns=config.jitter.delay_ms * NS_PER_MS,
            within=source,
        )
        # Who decodes nothing keeps no payloads: 192 kB for each source of a simulated node.
        room = PAYLOAD_BYTES_MAX if decoder else 0
        self.buffer = JitterBuffer(config.jitter, slots=slots, payload_bytes=room, within=source)
        self._state = self.buffer.state
        self._conceal_max_samples = int(self._state["conceal_max"][0])
        self._payloads = self.buffer.payloads
        self._playout = inner(source, "playout", Playout)
        self._playout["count_only"] = decoder is None
        self._playout["last_sound_ns"] = -1
        self._last_sound_ns: NDArray[np.int64] = self._playout["last_sound_ns"]
        self._is_adaptive = config.jitter.mode == "adaptive"
        entry.reset_steering(source)
        self._fifo = zeros_apart((ss.FIFO_SAMPLES, config.audio.channels), np.float32)
        self._advance = self._bound_advance()
        self._journal = inner(source, "journal", Played)
        self._journal_written: NDArray[np.int64] = self._playout["journal_written"]
        self._journal_taken = 0
        self._has_taker = False
        self._sound = (
            ChunkSound(decoder, self.buffer, self._playout, self._fifo) if decoder else None
        )
        self._origin_samples: NDArray[np.int64] = self._state["origin_samples"][0]
        target_lufs = config.audio.target_lufs
        self._leveller = (
            Leveller(config.audio.channels, target_lufs=target_lufs)
            if target_lufs is not None and decoder is not None
            else None
        )

    @abstractmethod
    def is_due(self, presentation_ns: int, samples: int) -> bool:
        """Return whether sound of this source, not playing now, begins in this period."""

    @property
    @abstractmethod
    def has_sounded(self) -> bool:
        """Whether it goes on where it was heard before, and needs a ramp."""

    @property
    def is_at_rest(self) -> bool:
        """Whether it begins only when it is given something by other than a packet."""
        return False

    def has_given_way(self, newcomer: "Playable", presentation_ns: int) -> bool:
        """Return whether whoever speaks here has gone on to speak as `newcomer`."""
        return False

    def render(self, out: NDArray[np.float32], presentation_ns: int) -> None:
        """Fill `out`, (n, channels) float32, n <= PERIOD_SAMPLES_MAX, full scale 1.0."""
        assert out.flags.c_contiguous and out.ndim == 2, "no kernel looks for gaps"
        while True:
            action: int = self._advance(out, presentation_ns)
            if action == ss.DONE:
                if not self.buffer.is_proven:
                    out[:] = 0.0
                elif self._leveller is not None:
                    self._leveller.process(out)
                return
            self.decode(action)
            if self._is_adaptive:
                entry.finish_adaptive(self._source, self._fifo, action)

    def decode(self, action: int) -> None:
        """Append the sound of the chunk just pulled to the FIFO; see `playback.advance`."""
        assert self._sound is not None, "count-only sources decode nothing"
        self._sound.decode(action)

    def begin_programme(self) -> None:
        """Measure loudness anew from here on: what comes has nothing to do with what was."""
        if self._leveller is not None:
            self._leveller.begin()

    def stop(self) -> None:
        """Lose the horn: the next `render` begins anew at the live edge."""
        # What was made up after the newest packet was no loss: the source had ended, or paused.
        self.buffer.settle(ended=True)
        self._playout["running"] = 0
        self._playout["planned"] = 0

    @property
    def record(self) -> Records[Source]:
        """What is kept of it, an array of one."""
        return self._source

    @property
    def fifo(self) -> NDArray[np.float32]:
        """What was decoded and has not left: (FIFO_SAMPLES, channels) float32, full scale 1.0."""
        return self._fifo

    @property
    def last_sound_ns(self) -> int:
        """Presentation time at which the last received sound ends; -1 before any."""
        return int(self._last_sound_ns[0])

    @property
    def hard_resyncs(self) -> int:
        """Jumps of the playout position so far."""
        return int(self._playout["hard_resyncs"][0])

    @property
    def origin_samples(self) -> NDArray[np.int64]:
        """Output samples by `counters.Origin`: (ORIGINS,) int64, live."""
        return self._origin_samples

    def add_counts(self, counts: NDArray[np.int64]) -> None:
        """Add what this source counted.

        counts  (COUNTS,) int64, counts by `counters.Count`
        """
        for count, place in COUNTED.items():
            counts[count] += self._state[place][0]
        counts[Count.HARD_RESYNCS] += self._playout["hard_resyncs"][0]
        counts[Count.DECODER_ERRORS] += self._sound.decoder_errors if self._sound else 0

    def take_journal(self, rows: Records[Played]) -> int:
        """Move chunks played since the last call into `rows`; see `journal.copy_journal`."""
        self._has_taker = True
        written = int(self._journal_written[0])
        self._journal_taken, count = copy_journal(self._journal, self._journal_taken, written, rows)
        if self._journal_taken == written:  # begin anew: of the ring no more is touched than needed
            self._journal_taken = self._journal_written[0] = 0
        return count

    def shorten_journal(self, rows: int) -> None:
        """Write the journal anew from its first row where so many were written and nobody takes
        them: its memory is touched no further.
        """
        if self._journal_written[0] >= rows and not self._has_taker:
            self._journal_written[0] = 0

    def status(self) -> dict[str, object]:
        """Return what a person wants to know of its playout, JSON-able."""
        return {
            "level_ms": self.buffer.level_samples * 1000 / RATE_HZ,
            "playout_delay_ms": self._playout_delay_ms(),
            "played_ms": {
                origin.name.lower(): int(samples) // SAMPLES_PER_MS
                for origin, samples in zip(Origin, self.origin_samples, strict=True)
            },
            "stretched_ms": int(self._state["stretched_samples"][0]) // SAMPLES_PER_MS,
            "skew_ppm": round(self.timebase.skew_ppm, 3),
            "card_ppm": round(float(self._source["servo"]["correction_ppm"][0, 0]), 3),
            "sync_error_ms": round(int(self._playout["error_q16"][0]) / 65.536 / RATE_HZ, 4),
            "mapped": self.timebase.mapped,
            "hard_resyncs": self.hard_resyncs,
            "late_packets": int(self._state["late"][0]),
            "lost_packets": int(self._state["lost"][0]),
        }

    def _playout_delay_ms(self) -> float:
        """Return the delay that is steered to, counted from the fastest packet."""
        if not self._is_adaptive:
            return self.timebase.playout_delay_ns / NS_PER_MS
        return (
            int(self.buffer.steering["target"][0] - self.buffer.steering["base_delay"][0])
            / SAMPLES_PER_MS
        )

    def _bound_advance(self) -> Callable[..., int]:
        """Return what goes on with a period: DONE, or the action whose sound is needed next."""
        if self._is_adaptive:
            return bound(entry.advance_adaptive, self._source, self._fifo)
        return bound(entry.advance, self._source, self._fifo, resampler.TABLE)

    def _go_on(self) -> None:
        """Note that a source that had ended has more to say."""
        self.ended = False
        self._state["conceal_max"][0] = self._conceal_max_samples

    def _end(self) -> None:
        """Note that it has ended: after the last packet nothing is missing, so fade."""
        self.ended = True
        self._state["conceal_max"][0] = 0
