"""The speaker node without its shell: bytes and time in, sound and events out.

The five words and `render`; no clock, socket or file: gateway and simulator run the same object.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from node.audio.output import LATENCY_NS, Output
from node.config import NodeConfig
from node.control.arbiter import MessageClass, PriorityConfig
from node.counters import ORIGINS, Count, by_name, new_counts
from node.events import EVENTS_MAX, Event, SendDatagram, SourceChanged
from node.horn import Horn
from node.kernel.record import Records
from node.opus.protocol import Decoder, DecoderFactory
from node.peers.announced import AnnouncedSources
from node.peers.credit import Advance
from node.peers.neighbour import Neighbour
from node.peers.sender import new_reports
from node.rtp import packet as rtp
from node.source import state as ss
from node.source.admission import Candidates, follows_move, is_doubted, whose_place
from node.source.deadlines import first_deadlines_ns
from node.source.playable import Playable
from node.source.receiver import FORGET_NS, Receiver
from node.source.stored_sound import STORED_MAX, StoredSource
from node.source.unheard import DROPS, Unheard, wrong_size
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ, samples_to_ns

__all__ = ["LATENCY_NS", "SpeakerNode"]


class SpeakerNode:
    """One node: any datagram in, the sound of the source that has the horn out.

    Parameters
    ----------
    config : NodeConfig
        Checked configuration.
    decoder_factory : callable or None
        Makes a decoder for (rate_hz, channels). None counts only: the output is silence, all
        decisions, counts and the journal are those of a node that sounds (for the simulator).
    priority : PriorityConfig or None
        Who goes before whom; None takes the rules that ship.
    secret : bytes
        Random: no stranger guesses what the node asked others. Without it questions are plain.
    """

    def __init__(
        self,
        config: NodeConfig,
        *,
        decoder_factory: DecoderFactory | None,
        priority: PriorityConfig | None = None,
        secret: bytes = b"",
    ) -> None:
        self._config = config
        self._decoder_factory = decoder_factory
        self._sources: dict[int, Playable] = {}
        self._streams: dict[int, Receiver] = {}
        self._advance = Advance()
        reports = partial(new_reports, config, secret=secret)
        self._announced = AnnouncedSources(reports, config.receive.sources_max)
        self._latest: Receiver | None = None
        places = config.receive.sources_max + STORED_MAX
        counts_only = decoder_factory is None
        self._horn = Horn(places, config, priority or PriorityConfig(), counts_only=counts_only)
        self._datagrams = self._packets = 0
        self._candidates, self._unheard = Candidates(), Unheard(config)
        self._header = np.zeros(rtp.HEADER_FIELDS, np.int64)
        self._counts, self._ended_origins = new_counts(), np.zeros(ORIGINS, np.int64)
        self._events: list[Event] = []  # an empty deque takes 760 bytes, and a node had 35
        self.output = Output(config.audio, counts_only=counts_only)
        self._neighbour = Neighbour(config)
        self._parts = (self._announced, self._neighbour, self._horn)
        self.retransmission_payload_type = config.receive.retransmission_payload_type
        """RTP payload type of repairs, whose SSRC nobody announces (RFC 4588)."""
        self.mute_release_ns = round(config.amplifier.mute_release_s * NS_PER_S)

    def receive_datagram(
        self, data: bytes, source: tuple[str, int], now_ns: int, *, is_authentic: bool = False
    ) -> None:
        """Take one UDP datagram, RTP or RTCP (RFC 5761). Whatever it holds, nothing is raised.

        Of a sender that the caller knows, `is_authentic`, the time is asked at once.
        """
        self._datagrams += 1
        if not rtp.HEADER_BYTES <= len(data) <= rtp.PACKET_BYTES_MAX:
            self._drop(wrong_size(len(data)), source, now_ns)
            return
        latest = one if (one := self._latest) is not None and one.address == source else None
        if rtp.is_rtcp(data):
            if latest is not None:
                latest.note_word(now_ns)
            self._receive_rtcp(data, source, now_ns)
            return
        array = np.frombuffer(bytearray(data), rtp.BYTE)
        if self._candidates.counted:
            self._candidates.renumber(array, source, self._config.receive, now_ns)
        if latest is not None:
            result = latest.receive(array, now_ns)
            if result > ss.OTHER_SOURCE:
                latest.last_arrival_ns = now_ns
                self._packets += 1
                if result < 0 or self._unheard.may_end or self._horn.is_mute:
                    self._note_packet(latest, result, now_ns)
                return
        self._receive_other(array, source, now_ns, is_authentic=is_authentic)

    def receive_from_neighbour(self, data: bytes, source: tuple[str, int], now_ns: int) -> bool:
        """Take a datagram if it is RTCP of a gateway beside this one; return whether it is."""
        if not self._neighbour.receive(data, source, self._streams, now_ns):
            return False
        self._datagrams += 1
        self._counts[Count.RTCP_RECEIVED] += 1
        return True

    def receive_message(self, topic: str, payload: bytes, now_ns: int) -> None:
        """Take one MQTT message. Nothing is raised; what is not understood is counted."""
        self._counts[Count.DROPPED_MESSAGE] += 1

    def handle_deadline(self, now_ns: int) -> None:
        """Report to the senders, and forget sources that have gone."""
        for question, address in self._announced.requests(now_ns):
            self._tell(SendDatagram(question, address))
        for receiver in list(self._streams.values()):
            for data in (receiver.request_report(now_ns), receiver.request_repair(now_ns)):
                if data is not None:
                    self._tell(SendDatagram(data, receiver.address))
            silent_ns = now_ns - receiver.last_arrival_ns
            if is_doubted(receiver, now_ns, NS_PER_S) and silent_ns < NS_PER_S:
                if self._candidates.distrusts(receiver):
                    self._forget(receiver, now_ns)
                    continue
                self._tell(self._unheard.doubt(receiver.address, receiver.buffer.reading, now_ns))
            if silent_ns >= FORGET_NS and not self._horn.is_sounding(receiver):
                self._forget(receiver, now_ns)
        self._tell(self._horn.handle_deadline(now_ns))
        self._neighbour.handle_deadline(now_ns, self._streams)
        while (told := self._neighbour.next_event()) is not None:
            self._tell(SendDatagram(*told))

    def next_deadline_ns(self) -> int | None:
        """Return when `handle_deadline` must run next, or None when nothing is pending."""
        return self.next_deadlines_ns()[0]

    def next_deadlines_ns(self) -> tuple[int | None, int | None]:
        """Return when `handle_deadline` must run next, and when for other than what is missing.

        The second is for who looks for that: a packet can bring it nearer.
        """
        return first_deadlines_ns(self._streams.values(), self._parts)

    @property
    def is_missing(self) -> bool:
        """Whether the last packet left holes to ask for, so that the next deadline may be near."""
        return self._latest is not None and self._latest.is_missing

    def next_event(self) -> Event | None:
        """Return the oldest event not yet taken, or None."""
        return self._events.pop(0) if self._events else None

    def render(self, out: NDArray[np.float32], presentation_ns: int) -> None:
        """Fill `out`, (n, channels) float32, whose first sample leaves the DAC at that instant."""
        if (n := out.shape[0]) > ss.PERIOD_SAMPLES_MAX:
            half = n // 2
            self.render(out[:half], presentation_ns)
            self.render(out[half:], presentation_ns + samples_to_ns(half))
            return
        ahead_ns = presentation_ns + LATENCY_NS
        if (alone := self._horn.has_alone(ahead_ns)) is not None:
            alone.render(out, ahead_ns)
            self.output.finish(out, sounds=True)
        else:
            self.output.finish(out, sounds=self._fill(out, ahead_ns))

    def rests(self, unasked: int = 0) -> bool:
        """Note `unasked` samples of silence; return whether more come until something else does."""
        self.output.rest(unasked)
        return self._horn.is_empty and self.output.silent_samples >= ss.PERIOD_SAMPLES_MAX

    def receive_sink(self, now_ns: int, *, sounds: bool) -> None:
        """Note that the sink asks for sound from now on, or that it cannot: its card is gone."""
        if not sounds and self._horn.rest(now_ns):
            self.output.end()
            self._tell(SourceChanged(None, now_ns))
        if sounds and not self._horn.is_empty:
            self.wake(now_ns)

    def wake(self, now_ns: int) -> None:
        """Un-mute the amplifier, if it can be muted: something has come that is to sound."""
        self._tell(self._horn.wake(now_ns))

    def leave(self) -> None:
        """Say goodbye to those whose streams it has."""
        for one in self._streams.values():
            self._tell(SendDatagram(one.reports.goodbye(), one.address))

    @property
    def alone(self) -> Receiver | None:
        """Return the stream that plays alone, by its numbers and at its level if heard; or None."""
        one = self._latest
        if one is None or self._candidates.counted or one is not self._horn.sole:
            return None
        return one if self._decoder_factory is None or self._horn.passes(one) else None

    @property
    def horn(self) -> Horn:
        """Return who sounds: only to look at."""
        return self._horn

    def note_received(self, datagrams: int) -> None:
        """Note datagrams that were taken by the kernels of `alone`, and that it has the horn."""
        self._datagrams += datagrams
        self._packets += datagrams
        self._horn.confirm()

    def hold_stored(self, ssrc: int, now_ns: int) -> StoredSource:
        """Return a new source of stored sounds: it plays what it is given, once it is granted."""
        source = StoredSource(self._config, ssrc, self._new_decoder(), now_ns)
        self._horn.add(source)
        self._sources[ssrc] = source
        return source

    def set_source(
        self, ssrc: int, message_class: MessageClass, level: str, *, gain_db: float
    ) -> None:
        """Say what a source is and how loud, before it speaks or while it does."""
        self._horn.set_source(ssrc, message_class, level, gain_db=gain_db)

    def end_source(self, ssrc: int, now_ns: int) -> None:
        """Take the horn from a source at once, and forget what it was."""
        self._horn.end_source(ssrc, now_ns)

    def sounding(self) -> tuple[int, ...]:
        """Return the sources that are granted, the holder of the horn first."""
        return tuple(grant.source for grant in self._horn.arbiter.grants())

    @property
    def counts(self) -> NDArray[np.int64]:
        """What was counted so far, indexed by `counters.Count`: (COUNTS,) int64."""
        total = self._counts.copy()
        total[Count.DATAGRAMS_RECEIVED] += self._datagrams
        total[Count.PACKETS_RECEIVED] += self._packets
        for one in self._sources.values():
            one.add_counts(total)
        return total

    def origin_samples(self) -> NDArray[np.int64]:
        """Return output samples by `counters.Origin`, all sources together: (ORIGINS,) int64."""
        ended = self._ended_origins.copy()
        return sum((one.origin_samples for one in self._sources.values()), start=ended)

    def source(self, ssrc: int) -> Playable | None:
        """Return what plays under that number, or None."""
        return self._sources.get(ssrc)

    def take_journal(self, rows: Records[ss.Played]) -> int:
        """Move chunks played since the last call into `rows`; see `journal.copy_journal`."""
        count = 0
        for source in self._sources.values():
            count += source.take_journal(rows[count:])
        return count

    def status(self, counts: dict[str, int] | None = None) -> dict[str, object]:
        """Return what a person wants to know, JSON-able; `counts` are told instead of its own."""
        return {
            "name": self._config.name,
            "playing": self._horn.holder.ssrc if self._horn.holder else None,
            "playing_class": self._horn.class_name,
            "sources": [one.status() for one in self._sources.values()],
            "announced": self._announced.status(),
            "neighbour": self._neighbour.status(),
            "power_reduction_db": round(self.output.power_reduction_db, 2),
            "counts": by_name(self.counts) if counts is None else counts,
        }

    def _receive_other(
        self, array: NDArray[np.uint8], source: tuple[str, int], now_ns: int, *, is_authentic: bool
    ) -> None:
        """Take a datagram that is not of the source that spoke last."""
        header = self._header
        kind = rtp.parse(array, header)
        if kind != rtp.RTP:
            self._drop(DROPS[ss.NOT_RTP + kind], source, now_ns)
            return
        if header[rtp.PAYLOAD_TYPE] == self._config.receive.retransmission_payload_type:
            owners = self._streams.values()
            taken = any(one.receive_again(array, header, source, now_ns) for one in owners)
            self._packets += taken
            self._counts[Count.DROPPED_PAYLOAD_TYPE] += not taken
            return
        ssrc = int(header[rtp.SSRC])
        if ssrc in self._sources and ssrc not in self._streams:
            self._drop(Count.DROPPED_SSRC_COLLISION, source, now_ns)  # it is the node's own
            return
        receiver = self._streams.get(ssrc) or self._admit(array, ssrc, source, now_ns)
        if receiver is None:
            return
        if is_authentic:
            receiver.reports.credit.trust(self._advance)
        if receiver.address != source:
            hold_ms = self._config.receive.hold_ms
            if not follows_move(receiver, source, int(header[rtp.SEQUENCE]), now_ns, hold_ms):
                self._drop(Count.DROPPED_SSRC_COLLISION, source, now_ns)
                return
        result = receiver.receive(array, now_ns)
        if result in DROPS:
            self._drop(DROPS[result], source, now_ns, reading=receiver.buffer.reading)
            return
        self._packets += 1
        receiver.last_arrival_ns = now_ns
        self._latest = receiver
        self._note_packet(receiver, result, now_ns)

    def _note_packet(self, receiver: Receiver, result: int, now_ns: int) -> None:
        """Tell what a packet is the end of, and let the amplifier be ready for its sound."""
        if receiver.buffer.is_proven:  # of what is doubted another reason is told
            self._tell(self._unheard.receive(result, receiver.address, now_ns))
            self.wake(now_ns)

    def _drop(self, why: Count, source: tuple[str, int], now_ns: int, *, reading: int = 0) -> None:
        """Count a datagram that is no packet of a source, and say so when that goes on."""
        self._counts[why] += 1
        self._tell(self._unheard.drop(why, source, now_ns, self._header, reading=reading))

    def _receive_rtcp(self, data: bytes, source: tuple[str, int], now_ns: int) -> None:
        """Take a compound of reports; what is not of a source from that host is ignored."""
        known = self._neighbour.receive(data, source, self._streams, now_ns)
        known = known or self._announced.receive(data, source, now_ns, self._streams)
        self._counts[Count.RTCP_RECEIVED if known else Count.DROPPED_RTCP_MALFORMED] += 1

    def _admit(
        self, array: NDArray[np.uint8], ssrc: int, source: tuple[str, int], now_ns: int
    ) -> Receiver | None:
        """Return the new source when this is the second packet in sequence, else keep it."""
        if int(self._header[rtp.PAYLOAD_TYPE]) not in self._config.receive.stream_payload_types:
            self._drop(Count.DROPPED_PAYLOAD_TYPE, source, now_ns)
            return None
        packet = int(self._header[rtp.SEQUENCE]), array, now_ns
        waiting, given_up = self._candidates.second(ssrc, source, packet)
        for _ in range(given_up):
            self._drop(Count.PACKETS_DISCARDED_PROBATION, source, now_ns)
        if waiting is None or not self._has_place(source, now_ns):
            return None
        reports = self._announced.take(ssrc, source, waiting[2])
        receiver = Receiver(
            self._config, ssrc, source, self._new_decoder(), now_ns=waiting[2], reports=reports
        )
        self._horn.add(receiver)
        self._sources[ssrc] = self._streams[ssrc] = receiver
        self._neighbour.hurry(now_ns)
        self._packets += 1
        receiver.receive(waiting[1], waiting[2])
        if reports.heard_ns > 0:
            receiver.begin_sound(now_ns)
        return receiver

    def _has_place(self, source: tuple[str, int], now_ns: int) -> bool:
        """Make a place for one more source, if there is one for it."""
        if len(self._streams) < self._config.receive.sources_max:
            return True
        quiet = [one for one in self._streams.values() if not self._horn.is_sounding(one)]
        leaving = whose_place(quiet, source, now_ns, self._config.receive.hold_ms * NS_PER_MS)
        if leaving is None:
            self._counts[Count.DROPPED_SOURCE_LIMIT] += 1  # the first packet had waited for this
            self._drop(Count.DROPPED_SOURCE_LIMIT, source, now_ns)
            return False
        self._forget(leaving, now_ns)
        return True

    def _new_decoder(self) -> Decoder | None:
        factory = self._decoder_factory
        return factory(RATE_HZ, self._config.audio.channels) if factory else None

    def _fill(self, out: NDArray[np.float32], presentation_ns: int) -> bool:
        """Let the horn's sources sound in `out`; tell who has it when that changes."""
        sounds = self._horn.render(out, presentation_ns)
        while self._horn.arbiter.next_event() is not None:
            self._tell(SourceChanged(self._horn.arbiter.granted(), presentation_ns))
        return sounds

    def _forget(self, receiver: Receiver, now_ns: int) -> None:
        """Give up a source; what it counted stays."""
        self._horn.remove(receiver, now_ns)
        receiver.add_counts(self._counts)
        self._ended_origins += receiver.origin_samples
        del self._sources[receiver.ssrc], self._streams[receiver.ssrc]
        self._announced.give(receiver.ssrc, receiver.address, receiver.reports, now_ns)
        if self._latest is receiver:
            self._latest = None

    def _tell(self, event: Event | None) -> None:
        if event is not None:
            del self._events[: 1 - EVENTS_MAX]  # a shell that does not drain loses the oldest
            self._events.append(event)
