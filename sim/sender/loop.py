"""The loop of `loalang-send`: packets out at their instants, reports, answers to the nodes."""

import queue
import select
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from node.rtp.join_packet import KEEP, is_join
from node.rtp.rtcp_packet import Application, Nack, Packet
from node.shell.network.multicast import is_multicast
from node.shell.network.udp import receive_stamped, stamp_arrivals
from node.units import NS_PER_S, samples_to_ns
from sim.sender.broker_path import BrokerPath
from sim.sender.group_delay import GroupDelay
from sim.sender.joined import Joined
from sim.sender.outlet import Address, Outlet, text_of
from sim.sender.repair.repair_budget import RepairBudget
from sim.sender.repair.repaired_stream import RepairedStream
from sim.sender.report_times import REPORT_NS, ReportTimes
from sim.sender.seal import Seal
from sim.sender.sound.live_feed import LiveFeed
from sim.sender.sound.packet_encoder import Encoded
from sim.sender.stream import LiveSender
from sim.sender.time_answers import SenderReports

_DATAGRAMS_AT_ONCE: Final = 64
"""Answers per turn; who sends more waits, and the schedule of the sound goes on."""
LEAD_REPORT_NS: Final = NS_PER_S // 10
"""Between two before the first packet: a lost one costs the nodes little of the time ahead."""
_LEAD_REPORTS_NS: Final = 60 * NS_PER_S
"""... for so long; a source that waits longer reports as one that sounds."""
_IDLE_NS: Final = NS_PER_S // 10


class SendLoop:
    """Send what comes out of a queue, on an absolute schedule that never drifts.

    Parameters
    ----------
    sender : LiveSender
        Numbers, stamps and schedule.
    one : socket.socket
        Unconnected and non-blocking; the nodes' reports come back to it (RFC 5761).
    destinations : sequence of (host, port)
        Each gets every packet.
    announce : bool
        Print on standard error when the first packet left, for who measures the delay.
    group : GroupDelay or None
        Decides the nodes' playout delay from their reports; None leaves each its own setting.
    seal : callable or None
        Makes of each packet what leaves: signed, or SRTP.
    sends_copies : bool
        Packets may carry copies while the nodes' reports ask for it (RFC 2198).
    new_budget : callable
        Makes the account that pays for repair to one destination.
    joined : Joined or None
        Who asks for the stream here gets it too.
    broker : BrokerPath or None
        By which those ask whom no datagram reaches.
    lead_ns : int or None
        The nodes are told of the sender so long before its first packet, and learn its clock.
        None tells them with the first packet.
    far : bool
        Live sound comes by a network, and is held for what that adds.
    """

    def __init__(
        self,
        sender: LiveSender,
        one: socket.socket,
        destinations: Sequence[Address],
        *,
        announce: bool = False,
        group: GroupDelay | None = None,
        seal: Seal | None = None,
        sends_copies: bool = True,
        new_budget: Callable[[], RepairBudget] = RepairBudget,
        joined: Joined | None = None,
        broker: BrokerPath | None = None,
        lead_ns: int | None = None,
        far: bool = False,
    ) -> None:
        self._sender = sender
        self._joined = joined
        self._broker = broker
        self.lead_ns = lead_ns
        stamp_arrivals(one)
        self._socket = one
        self._outlet = Outlet(one, seal)
        if broker is not None:
            self._outlet.by_broker = broker.send
        self._announce = announce
        self._reports = SenderReports(sender.ssrc, group=group)
        self._sends_copies = sends_copies
        self._new_budget = new_budget
        self._streams: dict[Address, RepairedStream] = {}
        self._announced: dict[Address, Application] = {}
        self._report_times = ReportTimes()
        for destination in destinations:
            self._add(destination)
        packet_ns = samples_to_ns(sender.packet_samples)
        self._live = LiveFeed(packet_ns, far=far) if sender.live else None
        self._next: Encoded | None = None
        self._source_ended = False
        self._next_report_ns = 0
        self._ended = False
        self._wake_read, self._wake_write = socket.socketpair()
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)
        self.lateness_max_ns = 0
        """Worst delay of a packet against its instant: what this machine adds to the jitter."""

    def wake(self) -> None:
        """Say from another thread that the queue has something."""
        with suppress(OSError):  # full of earlier calls: it will wake anyway; or it has ended
            self._wake_write.send(b".")

    def close(self) -> None:
        """Give back what it waits on."""
        self._wake_read.close()
        self._wake_write.close()

    def end(self) -> None:
        """Say goodbye and return from `run` soon; may be called from a signal handler."""
        self._ended = True
        self.wake()

    def run(self, packets: "queue.Queue[tuple[Encoded, int] | None]") -> None:
        """Send until None comes out of `packets`, until `end` is called, or nothing can leave.

        Each packet comes with the instant at which it was there.
        """
        begin_ns = time.monotonic_ns()
        if self.lead_ns is not None:
            self._sender.begin(begin_ns, self.lead_ns)
        while not self._ended:
            self._take_packets(packets)
            now = time.monotonic_ns()
            due = self._due_ns(now)
            if due is None and self._source_ended:
                break
            if due is not None and due <= now:
                self._send_next(now, due)
                continue
            if self._sender.begun and now >= self._next_report_ns:
                leads = not self._sender.packets and now - begin_ns < _LEAD_REPORTS_NS
                self._next_report_ns = now + (LEAD_REPORT_NS if leads else REPORT_NS)
                self._report(now)
                if self._live is None and self._outlet.is_hopeless(now):
                    break
            self._wait(now + _IDLE_NS if due is None else min(now + _IDLE_NS, due))
        if self._sender.begun:
            self._send_all(self._sender.compound(time.monotonic_ns(), ended=True))

    def _add(self, destination: Address) -> None:
        """Send the stream to another destination from now on."""
        if destination in self._streams:
            return
        stream = RepairedStream(
            self._sender.ssrc,
            self._sender.packet_samples,
            sends_again=not is_multicast(destination[0]),
            sends_copies=self._sends_copies,
            budget=self._new_budget(),
        )
        self._streams[destination] = stream
        self._outlet.add(destination)
        if stream.announcement is not None:
            self._announced[destination] = stream.announcement

    def _drop(self, destination: Address) -> None:
        self._streams.pop(destination, None)
        self._announced.pop(destination, None)
        self._report_times.drop(destination)
        self._outlet.drop(destination)

    def _receive_join(self, data: bytes, address: Address, now_ns: int) -> None:
        """Answer who wants to join, and follow who is in."""
        assert self._joined is not None, "the caller looked"
        answer = self._joined.receive_datagram(data, address, now_ns)
        if answer is not None:
            self._outlet.send_plain(answer, address)
        self._follow_joined(now_ns)

    def _follow_joined(self, now_ns: int) -> None:
        while self._joined is not None and (change := self._joined.next_event()) is not None:
            if not change.joined:
                self._drop(change.address)
            else:
                self._add(change.address)
                self._report_times.add(change.address, now_ns)
                if self._sender.begun:
                    self._report_to(change.address, now_ns)

    def _take_packets(self, packets: "queue.Queue[tuple[Encoded, int] | None]") -> None:
        """Take what is there of a live source, and one packet at a time of a file."""
        while not self._source_ended and (self._live or self._next is None):
            try:
                item = packets.get_nowait()
            except queue.Empty:
                return
            if item is None:
                self._source_ended = True
            elif self._live is not None:
                self._live.receive_packet(*item)
            else:
                self._next = item[0]

    def _due_ns(self, now_ns: int) -> int | None:
        """Return when the next packet is to leave; None while there is none."""
        if self._live is None:
            return None if self._next is None else self._sender.due_ns(now_ns)
        return self._live.due_ns(now_ns)

    def _send_next(self, now_ns: int, due_ns: int) -> None:
        """Send the packet that is due, or leave it out where it is a backlog."""
        if self._live is not None:
            payload = self._live.take(now_ns)
            self._sender.even = not self._live.in_blocks
        else:
            assert self._next is not None, "it is due"
            payload, self._next = self._next, None
        if not self._sender.takes(now_ns):
            return
        self.lateness_max_ns = max(self.lateness_max_ns, now_ns - due_ns)
        self._send_packet(payload, now_ns)
        if self._live is not None:
            self._live.went = True
        if self._sender.packets == 1:
            self._next_report_ns = 0  # which sound belongs to which instant
            if self._announce:
                print(f"first packet at {now_ns}", file=sys.stderr, flush=True)

    def _send_packet(self, payload: Encoded, now_ns: int) -> None:
        data = self._sender.next_packet(payload[0], now_ns)
        self._report_times.note_sound(now_ns)
        self._outlet.begin_round()
        for destination, stream in self._streams.items():
            datagram = stream.next_datagram(data, payload[1], now_ns)
            self._outlet.send(datagram, destination, sound=True)

    def faults(self) -> list[str]:
        """Return a line for each destination to which the sound was not delivered."""
        if self._joined is not None and not self._joined.joins and not self._streams:
            return ["nobody joined: do the nodes know this address, and the same --join-key?"]
        return self._outlet.faults()

    def summary(self) -> str:
        """Return one line about what was sent."""
        seconds = self._sender.media_samples / 48_000
        left = self._sender.left + (0 if self._live is None else self._live.left)
        return (
            f"sent {self._sender.packets} packets, {seconds:.1f} s, "
            f"{self._sender.payload_bytes} payload bytes, ssrc {self._sender.ssrc:08x}; "
            f"latest {self.lateness_max_ns / 1e6:.1f} ms after its time, "
            f"{self._sender.jumps} jumps over a backlog, "
            f"{left} packets of it left out, {self._outlet.refused} refused by the network, "
            f"{self._repair_pct():.1f} % more bytes for repair"
        )

    def _repair_pct(self) -> float:
        budgets = [stream.budget for stream in self._streams.values()]
        return (
            100 * sum(b.repair_bytes for b in budgets) / max(1, sum(b.link_bytes for b in budgets))
        )

    def _report(self, now_ns: int) -> None:
        """Send each destination the report, and say there whether lost packets may be asked for."""
        self._outlet.begin_round()
        if self._joined is not None:
            self._joined.handle_deadline(now_ns)
            self._take_refusals()
        for destination in list(self._streams):
            if self._report_times.is_due(destination, now_ns):
                self._report_to(destination, now_ns)
            self._choose(destination, now_ns)

    def _report_to(self, destination: Address, now_ns: int) -> None:
        more: list[Packet] = [*self._reports.announcements(now_ns)]
        if destination in self._announced:
            more.append(self._announced[destination])
        self._outlet.send(self._sender.compound(now_ns, more=more), destination)

    def _choose(self, destination: Address, now_ns: int) -> None:
        """Let the stream's choice be made anew, and tell of it."""
        choice = self._streams[destination].choice
        before = choice.changes
        self._streams[destination].handle_deadline(now_ns)
        if self._announce and choice.changes != before:
            what = (
                f"{choice.distance_packets} packets behind" if choice.distance_packets else "none"
            )
            print(f"copies to {text_of(destination)}: {what}", file=sys.stderr, flush=True)

    def _wait(self, until_ns: int) -> None:
        timeout_s = max(0, until_ns - time.monotonic_ns()) / NS_PER_S
        descriptors = [self._socket.fileno(), self._wake_read.fileno()]
        ready, _, _ = select.select(descriptors, [], [], timeout_s)
        if descriptors[1] in ready:
            self._wake_read.recv(4096)
            for came in [] if self._broker is None else self._broker.received():
                self._take_datagram(*came)
        if descriptors[0] in ready:
            self._take_datagrams()

    def _take_datagrams(self) -> None:
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                data, address, now = receive_stamped(self._socket)
            except BlockingIOError:
                return
            except OSError:
                self._take_refusals()
                continue
            self._take_datagram(data, address, now)

    def _take_datagram(self, data: bytes, address: Address, now: int) -> None:
        """Answer what a node asks, and believe what it reports."""
        if self._joined is not None and (is_join(data) or data == KEEP):
            self._receive_join(data, address, now)
            return
        self._outlet.note_heard(address, now)
        if self._joined is not None and address not in self._streams:
            return  # a stranger, or one who must join again from where he is now
        streams = self._spoken_to(address)
        packets = self._reports.receive_datagram(data, address, now, is_node=bool(streams))
        self._answer()
        for stream in streams:
            stream.receive_reports(packets, now)
        for packet in packets:
            if isinstance(packet, Nack) and packet.media_ssrc == self._sender.ssrc:
                self._send_again(packet, address)

    def _spoken_to(self, address: Address) -> list[RepairedStream]:
        """Return the streams that a node at `address` may speak of: its own, or the groups'."""
        own = self._streams.get(address)
        if own is not None:
            return [own]
        return [stream for one, stream in self._streams.items() if is_multicast(one[0])]

    def _send_again(self, nack: Nack, address: Address) -> None:
        """Answer a request for lost packets, only to where the stream goes anyway."""
        stream = self._streams.get(address)
        if stream is not None:
            self._outlet.begin_round()
            for data in stream.receive_nack(nack.sequences, time.monotonic_ns()):
                self._outlet.send(data, address)

    def _answer(self) -> None:
        """Answer requests for time."""
        while self._sender.begun:
            now = time.monotonic_ns()
            answer = self._reports.next_answer(self._sender.report(now), now, self._announced)
            if answer is None:
                return
            self._outlet.send(*answer)

    def _send_all(self, data: bytes) -> None:
        self._outlet.begin_round()
        for destination in self._streams:
            self._outlet.send(data, destination)

    def _take_refusals(self) -> None:
        """Send no more to joined nodes from which datagrams come back: nobody listens there."""
        for destination in self._outlet.take_refusals():
            if self._joined is not None:
                self._joined.remove(destination)
        self._follow_joined(time.monotonic_ns())
