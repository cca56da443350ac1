"""The loop of `loalang-send`: packets out at their instants, reports, answers to the nodes."""

import errno
import ipaddress
import queue
import select
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from node.rtp.rtcp_packet import Nack, Packet
from node.shell.udp import receive_stamped, stamp_arrivals
from node.units import NS_PER_S, samples_to_ns
from sim.sender.group_delay import GroupDelay
from sim.sender.live_feed import LiveFeed
from sim.sender.outcome import Outcome, reason
from sim.sender.packet_encoder import Encoded
from sim.sender.refusals import ask_for_refusals, refusals
from sim.sender.repair_budget import RepairBudget
from sim.sender.repaired_stream import RepairedStream
from sim.sender.seal import Seal
from sim.sender.stream import LiveSender
from sim.sender.time_answers import SenderReports

Address = tuple[str, int]

_DATAGRAMS_AT_ONCE: Final = 64
"""Answers per turn; who sends more waits, and the schedule of the sound goes on."""
REPORT_NS: Final = NS_PER_S
"""Between two sender reports."""
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
    lead_ns : int or None
        The nodes are told of the sender so long before its first packet, and learn its clock.
        None tells them with the first packet.
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
        lead_ns: int | None = None,
    ) -> None:
        self._sender = sender
        self.lead_ns = lead_ns
        stamp_arrivals(one)
        ask_for_refusals(one)
        self._socket = one
        self._destinations = destinations
        self._announce = announce
        self._seal = seal
        self._reports = SenderReports(sender.ssrc, group=group)
        self._streams = {
            destination: RepairedStream(
                sender.ssrc,
                sender.packet_samples,
                sends_again=not _is_multicast(destination),
                sends_copies=sends_copies,
                budget=new_budget(),
            )
            for destination in destinations
        }
        self._announced = {
            destination: stream.announcement
            for destination, stream in self._streams.items()
            if stream.announcement is not None
        }
        self._live = LiveFeed(samples_to_ns(sender.packet_samples)) if sender.live else None
        self._next: Encoded | None = None
        self._source_ended = False
        self._next_report_ns = 0
        self._outcomes = {destination: Outcome() for destination in destinations}
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
                if self._live is None and self.is_hopeless(now):
                    break
            self._wait(now + _IDLE_NS if due is None else min(now + _IDLE_NS, due))
        if self._sender.begun:
            self._send_all(self._sender.compound(time.monotonic_ns(), ended=True))

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
        for destination, stream in self._streams.items():
            datagram = stream.next_datagram(data, payload[1], now_ns)
            self._send(datagram, destination, sound=True)

    def is_hopeless(self, now_ns: int) -> bool:
        """Return whether nothing was ever taken on the way to any destination."""
        return all(outcome.is_hopeless(now_ns) for outcome in self._outcomes.values())

    def faults(self) -> list[str]:
        """Return a line for each destination to which the sound was not delivered."""
        now = time.monotonic_ns()
        told = [(to, outcome.fault(now)) for to, outcome in self._outcomes.items()]
        return [f"{_text(to)}: {why}" for to, why in told if why is not None]

    def summary(self) -> str:
        """Return one line about what was sent."""
        seconds = self._sender.media_samples / 48_000
        left = self._sender.left + (0 if self._live is None else self._live.left)
        refused = sum(outcome.refused for outcome in self._outcomes.values())
        return (
            f"sent {self._sender.packets} packets, {seconds:.1f} s, "
            f"{self._sender.payload_bytes} payload bytes, ssrc {self._sender.ssrc:08x}; "
            f"latest {self.lateness_max_ns / 1e6:.1f} ms after its time, "
            f"{self._sender.jumps} jumps over a backlog, "
            f"{left} packets of it left out, {refused} refused by the network, "
            f"{self._repair_pct():.1f} % more bytes for repair"
        )

    def _repair_pct(self) -> float:
        budgets = [stream.budget for stream in self._streams.values()]
        return (
            100 * sum(b.repair_bytes for b in budgets) / max(1, sum(b.link_bytes for b in budgets))
        )

    def _report(self, now_ns: int) -> None:
        """Send each destination the report, and say there whether lost packets may be asked for."""
        for destination in self._destinations:
            more: list[Packet] = [*self._reports.announcements(now_ns)]
            if destination in self._announced:
                more.append(self._announced[destination])
            self._send(self._sender.compound(now_ns, more=more), destination)
            self._choose(destination, now_ns)

    def _choose(self, destination: Address, now_ns: int) -> None:
        """Let the stream's choice be made anew, and tell of it."""
        choice = self._streams[destination].choice
        before = choice.changes
        self._streams[destination].handle_deadline(now_ns)
        if self._announce and choice.changes != before:
            what = (
                f"{choice.distance_packets} packets behind" if choice.distance_packets else "none"
            )
            print(f"copies to {_text(destination)}: {what}", file=sys.stderr, flush=True)

    def _wait(self, until_ns: int) -> None:
        timeout_s = max(0, until_ns - time.monotonic_ns()) / NS_PER_S
        descriptors = [self._socket.fileno(), self._wake_read.fileno()]
        ready, _, _ = select.select(descriptors, [], [], timeout_s)
        if descriptors[1] in ready:
            self._wake_read.recv(4096)
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
            self._note_heard(address, now)
            packets = self._reports.receive_datagram(data, address, now)
            self._answer()
            for stream in self._spoken_to(address):
                stream.receive_reports(packets, now)
            for packet in packets:
                if isinstance(packet, Nack) and packet.media_ssrc == self._sender.ssrc:
                    self._send_again(packet, address)

    def _spoken_to(self, address: Address) -> list[RepairedStream]:
        """Return the streams that a node at `address` may speak of: its own, or the groups'."""
        own = self._streams.get(address)
        if own is not None:
            return [own]
        return [stream for one, stream in self._streams.items() if _is_multicast(one)]

    def _send_again(self, nack: Nack, address: Address) -> None:
        """Answer a request for lost packets, only to where the stream goes anyway."""
        stream = self._streams.get(address)
        if stream is not None:
            for data in stream.receive_nack(nack.sequences, time.monotonic_ns()):
                self._send(data, address)

    def _answer(self) -> None:
        """Answer requests for time."""
        while self._sender.begun:
            now = time.monotonic_ns()
            answer = self._reports.next_answer(self._sender.report(now), now, self._announced)
            if answer is None:
                return
            self._send(*answer)

    def _send_all(self, data: bytes) -> None:
        for destination in self._destinations:
            self._send(data, destination)

    def _send(self, data: bytes, destination: Address, *, sound: bool = False) -> None:
        if self._seal is not None:
            data = self._seal(data)
        error = self._send_once(data, destination)
        if error and self._take_refusals():  # it told of an earlier datagram, not of this one
            error = self._send_once(data, destination)
        outcome = self._outcomes.get(destination)
        if outcome is not None:
            outcome.note_sent(error, time.monotonic_ns(), sound=sound)

    def _send_once(self, data: bytes, destination: Address) -> int:
        try:
            self._socket.sendto(data, destination)
        except OSError as fault:
            return fault.errno or errno.EIO
        return 0

    def _take_refusals(self) -> int:
        """Note which destinations sent datagrams back; return how many there were."""
        count = 0
        for destination, error in refusals(self._socket):
            count += 1
            outcome = self._outcomes.get(destination)
            if outcome is not None and outcome.note_unheard(error, time.monotonic_ns()):
                print(f"{_text(destination)}: {reason(error)}", file=sys.stderr, flush=True)
        return count

    def _note_heard(self, address: Address, now_ns: int) -> None:
        outcome = self._outcomes.get(address)
        if outcome is not None:
            outcome.heard_ns = now_ns


def _text(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_multicast(destination: Address) -> bool:
    return ipaddress.ip_address(destination[0].partition("%")[0]).is_multicast
