"""One node of tier T3: links, clocks and CPU are T2's, its packets and periods are one kernel.

What a node is made of comes from `node.source.receiver` itself, so its records begin as they do on
a pole, and are counted as they are there.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from node.audio.gain import ramp_factor
from node.control.arbiter import PriorityConfig
from node.counters import Count, new_counts
from node.horn import RAMP_DB
from node.jitter import state as js
from node.kernel.record import Records, new, together
from node.opus.foreign import reading
from node.opus.packet import has_lbrr, is_plausible
from node.source.receiver import Receiver
from node.source.state import FIFO_SAMPLES, PERIOD_SAMPLES_MAX, Played, Source
from node.units import NS_PER_MS
from sim.drive.batch import Period
from sim.drive.pole import Pole
from sim.drive.site import Plan
from sim.fleet import listening
from sim.fleet.listening import Arrival, Listener, Setup
from sim.gateway.power import Uptime
from sim.station.programme import ADDRESS, Programme, Sender, Sending

_NOBODY: Final = new(Source)
"""Handed to the kernel while there is no source; it is not looked at."""

_ROOM: Final = np.zeros((FIFO_SAMPLES, 0), np.float32)
_CLASS: Final = "normal"
"""What a stream is that no order speaks of."""


class FleetPole(Pole):
    """One node that only counts, and hears one station that says nothing but its sound.

    Parameters
    ----------
    sender : Sender
        The station.
    sheet : (3, packets of the sound) int64
        Of `packet_sheet`.
    args, kwargs
        Those of `Pole`.
    """

    def __init__(self, *args: Any, sender: Sender, sheet: NDArray[np.int64], **kwargs: Any) -> None:
        super().__init__(*args, decoder_factory=None, conversation=None, **kwargs)
        assert self.period_samples <= PERIOD_SAMPLES_MAX, "the profiles bound it"
        self._turn_periods = 1 << 62  # the kernel comes back when the journal is full
        self._ssrc = sender.ssrc
        self._sheet = sheet
        self._setup = self._new_setup(sender)
        self._listener = self._new_listener()
        self._receiver: Receiver | None = None
        self._counts = new_counts()
        self.is_beyond = False
        """Whether its network does what only T2 can follow."""

    def counts(self) -> NDArray[np.int64]:
        """Return what it counted, over all its boots: (COUNTS,) int64."""
        total = self._counts.copy()
        _add(total, self._listener)
        if self._receiver is not None:
            self._receiver.add_counts(total)
        return total

    def source_skew_ppm(self) -> float | None:
        """Return the sender's skew as the node estimates it, or None when it hears nobody."""
        receiver = self._receiver
        return None if receiver is None else round(receiver.timebase.skew_ppm, 3)

    def _work(self, sending: Sending, plan: Plan) -> tuple[Records[Arrival], Records[Period]]:
        heard = plan.heard
        arrivals, periods = new(Arrival, heard.numbers.size), new(Period, heard.before.size)
        arrivals["number"], arrivals["now_ns"] = heard.numbers, heard.now_ns
        periods["before"], periods["presentation_ns"] = heard.before, heard.presentation_ns
        return arrivals, periods

    def _boot(self, up: Uptime) -> None:
        if self._up is not None:
            self._counts = self.counts()
        self._listener = self._new_listener()
        self._receiver = None
        self._up = up

    def _turn(
        self, work: Any, first: int, last: int, sound: NDArray[np.float32]
    ) -> Records[Played]:
        arrivals, periods = work
        listener = self._listener
        listener["packet"] = periods["before"][first - 1] if first else 0
        listener["period"], listener["until"] = first, last
        rows: list[Records[Played]] = []
        went = listening.FULL
        while went != listening.WHOLE and not self.is_beyond:
            source = _NOBODY if self._receiver is None else self._receiver.record
            began = int(listener["packet"][0])
            went = listening.listen(source, listener, self._sheet, _ROOM, arrivals, periods)
            self._counts[Count.DATAGRAMS_RECEIVED] += int(listener["packet"][0]) - began
            self._follow(went)
            rows.append(self._journal())
        return rows[0] if len(rows) == 1 else together(rows, Played)

    def _follow(self, went: int) -> None:
        """Do what the kernel came back for."""
        if went == listening.ADMITS:
            waiting_ns = int(self._listener["waiting_ns"][0])
            self._receiver = Receiver(self._config, self._ssrc, ADDRESS, None, now_ns=waiting_ns)
            self._listener["phase"], self._listener["fresh"] = listening.SOURCE, 1
            self._listener["journal_taken"] = 0
        self.is_beyond |= went == listening.BEYOND

    def _journal(self) -> Records[Played]:
        """Take the rows of the source, and the source itself once it is given up."""
        receiver = self._receiver
        if receiver is None:
            return new(Played, 0)
        found = together([self._rows[: receiver.take_journal(self._rows)]], Played)
        self._listener["journal_taken"] = receiver.record["playout"]["journal_written"][0]
        if self._listener["phase"][0] == listening.NOBODY:
            receiver.add_counts(self._counts)
            self._receiver = None
        return found

    def _new_listener(self) -> Records[Listener]:
        found = new(Listener)
        found["setup"] = self._setup
        return found

    def _new_setup(self, sender: Sender) -> Records[Setup]:
        rules = PriorityConfig()
        found = new(Setup)
        found["lead_ns"] = self._site.lead_ns
        found["hold_ns"] = rules.hold_ms[_CLASS] * NS_PER_MS
        found["attack"] = ramp_factor(RAMP_DB * 1000 / rules.ramp_ms)
        found["release"] = ramp_factor(RAMP_DB * 1000 / rules.return_ms)
        found["period_samples"] = self.period_samples
        found["adaptive"] = self._config.jitter.mode == "adaptive"
        found["packet_samples"] = sender.packet_samples
        found["first_sequence"] = sender.sequence
        found["first_timestamp"] = sender.timestamp
        return found


def packet_sheet(programme: Programme) -> NDArray[np.int64]:
    """Return marks, bytes and what else it reads as, of each packet of a programme.

    The result is (3, packets of the sound) int64.

    Raises
    ------
    ValueError
        If a packet does not look like Opus to a node.
    """
    found = np.zeros((3, len(programme.payloads)), np.int64)
    samples = programme.packet_ms * 48
    for at, payload in enumerate(programme.payloads):
        data = np.frombuffer(bytearray(payload), np.uint8)
        if not is_plausible(data, 0, data.size, samples) or data.size > js.PAYLOAD_BYTES_MAX:
            raise ValueError(f"packet {at} of the sound, {data.size} bytes, is doubted by nodes")
        flags = has_lbrr(data, 0, data.size) * js.HAS_FEC
        found[:, at] = flags, data.size, reading(data, 0, data.size)
    return found


def _add(counts: NDArray[np.int64], listener: Records[Listener]) -> None:
    """Add what a listener counted.

    counts  (COUNTS,) int64, counts by `counters.Count`
    """
    counts[Count.PACKETS_RECEIVED] += listener["packets"][0]
    counts[Count.PACKETS_DISCARDED_PROBATION] += listener["on_probation"][0]
