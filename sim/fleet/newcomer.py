"""What a node is as it hears the station's first packet: its records as `Receiver` makes them."""

from typing import Final

import numpy as np

from node.audio.gain import ramp_factor
from node.audio.mixer import fall_samples
from node.config import NodeConfig
from node.control.arbiter import PriorityConfig
from node.horn import RAMP_DB
from node.jitter.state import Slot
from node.kernel.record import new, octets
from node.source.receiver import Receiver
from node.source.state import Source
from node.units import NS_PER_MS
from sim.fleet.desk import Seat
from sim.fleet.on_stack import places_of
from sim.fleet.state import Listener, Setup
from sim.sender.time_answers import ANSWER_BYTES
from sim.station.programme import ADDRESS, Sender

_ANNOUNCED_BYTES: Final = 16
"""Of an answer: that the station may be asked for what is lost."""

_SETUP: Final = places_of(Listener)["setup"] + np.array(
    [places_of(Setup)[one] for one in ("period_samples", "lead_ns", "question_bytes")]
)
"""Which numbers of a listener say what its node is."""

_CLASS: Final = "normal"
"""What a stream is that no order speaks of."""


class Newcomer:
    """What nodes of one configuration are as they begin, for copies.

    Parameters
    ----------
    config : NodeConfig
        Of the node, but for its name.
    sender : Sender
        The station.
    speaks : bool
        It answers.
    again : bool
        It sends again what is lost, where a node asks for it.
    """

    def __init__(self, config: NodeConfig, sender: Sender, *, speaks: bool, again: bool) -> None:
        receiver = Receiver(config, sender.ssrc, ADDRESS, None, now_ns=0)
        self._source = receiver.record.copy()
        receiver.buffer.hold(receiver.timebase.longest_delay_ms)
        fields = Source.dtype.fields
        assert fields is not None, "it is a record"
        begin, journal = (int(fields[name][1]) for name in ("slots", "journal"))
        end = begin + int(self._source["slot_count"][0]) * Slot.dtype.itemsize
        # Its journal is empty, and slots that are not in use are never touched.
        self._touched = (slice(0, journal), slice(begin, end))
        self._octets = octets(self._source)
        rules = PriorityConfig()
        listener = new(Listener)
        setup = listener["setup"]
        setup["hold_ns"] = rules.hold_ms[_CLASS] * NS_PER_MS
        setup["attack"] = ramp_factor(RAMP_DB * 1000 / rules.ramp_ms)
        setup["fall_samples"] = fall_samples(RAMP_DB * 1000 / rules.ramp_ms)
        setup["release"] = ramp_factor(RAMP_DB * 1000 / rules.return_ms)
        setup["adaptive"] = config.jitter.mode == "adaptive"
        setup["packet_samples"] = sender.packet_samples
        setup["first_sequence"] = sender.sequence
        setup["first_timestamp"] = sender.timestamp
        setup["speaks"] = speaks
        setup["may_ask"] = again and config.receive.asks_for_lost
        setup["answer_bytes"] = ANSWER_BYTES if again else ANSWER_BYTES - _ANNOUNCED_BYTES
        setup["level_max"] = receiver.buffer.state["level_max"][0]
        self._listener_octets = octets(listener)

    def begin(self, seat: Seat, period_samples: int, lead_ns: int, question_bytes: int) -> None:
        """Let records be of a node with that sound card and name that hears nobody yet."""
        seat.listener_octets[:] = self._listener_octets
        seat.listener_numbers[_SETUP] = period_samples, lead_ns, question_bytes

    def hear(self, seat: Seat) -> None:
        """Let records be of a node with a source of which no packet has been taken yet."""
        for part in self._touched:
            seat.source_octets[part] = self._octets[part]
