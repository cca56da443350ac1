"""The loop of `loalang-send`: packets out at their instants, reports, answers to the nodes."""

import ipaddress
import os
import queue
import select
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from node.rtp.rtcp_packet import Nack, Packet
from node.shell.udp import receive_stamped, stamp_arrivals
from node.units import NS_PER_S
from sim.sender.group_delay import GroupDelay
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

Encoded = tuple[bytes, bytes]
"""A packet's payload, and its low-rate copy (`sim.sender.copy_encoder`)."""


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
        self._ended = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self.refused = 0
        """Datagrams that the network did not take."""
        self.lateness_max_ns = 0
        """Worst delay of a packet against its instant: what this machine adds to the jitter."""

    def wake(self) -> None:
        """Say from another thread that the queue has something."""
        try:
            os.write(self._wake_write, b".")
        except BlockingIOError:
            return  # full of earlier calls: it will wake anyway

    def end(self) -> None:
        """Say goodbye and return from `run` soon; may be called from a signal handler."""
        self._ended = True
        self.wake()

    def run(self, packets: "queue.Queue[Encoded | None]") -> None:
        """Send until None comes out of `packets`, or until `end` is called."""
        payload: Encoded | None = None
        waiting = False
        next_report_ns = 0
        begin_ns = time.monotonic_ns()
        if self.lead_ns is not None:
            self._sender.begin(begin_ns, self.lead_ns)
        while not self._ended:
            if not waiting:
                try:
                    payload = packets.get_nowait()
                    waiting = True
                except queue.Empty:
                    pass
            now = time.monotonic_ns()
            until = now + _IDLE_NS
            if waiting:
                if payload is None:
                    break
                due = self._sender.due_ns(now)
                if due <= now:
                    waiting = False
                    if not self._sender.takes(now):
                        continue
                    self.lateness_max_ns = max(self.lateness_max_ns, now - due)
                    self._send_packet(payload, now)
                    if self._sender.packets == 1:
                        next_report_ns = 0  # which sound belongs to which instant
                    if self._announce and self._sender.packets == 1:
                        print(f"first packet at {now}", file=sys.stderr, flush=True)
                    continue
                until = min(until, due)
            if self._sender.begun and now >= next_report_ns:
                leads = not self._sender.packets and now - begin_ns < _LEAD_REPORTS_NS
                next_report_ns = now + (LEAD_REPORT_NS if leads else REPORT_NS)
                self._report(now)
            self._wait(until)
        if self._sender.begun:
            self._send_all(self._sender.compound(time.monotonic_ns(), ended=True))
        os.close(self._wake_read)

    def _send_packet(self, payload: Encoded, now_ns: int) -> None:
        data = self._sender.next_packet(payload[0], now_ns)
        for destination, stream in self._streams.items():
            self._send(stream.next_datagram(data, payload[1], now_ns), destination)

    def summary(self) -> str:
        """Return one line about what was sent."""
        seconds = self._sender.media_samples / 48_000
        return (
            f"sent {self._sender.packets} packets, {seconds:.1f} s, "
            f"{self._sender.payload_bytes} payload bytes, ssrc {self._sender.ssrc:08x}; "
            f"latest {self.lateness_max_ns / 1e6:.1f} ms after its time, "
            f"{self._sender.jumps} jumps over a backlog, "
            f"{self._sender.left} packets of it left out, {self.refused} refused by the network, "
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
            print(
                f"copies to {destination[0]}:{destination[1]}: {what}", file=sys.stderr, flush=True
            )

    def _wait(self, until_ns: int) -> None:
        timeout_s = max(0, until_ns - time.monotonic_ns()) / NS_PER_S
        descriptors = [self._socket.fileno(), self._wake_read]
        ready, _, _ = select.select(descriptors, [], [], timeout_s)
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        if descriptors[0] in ready:
            self._take_datagrams()

    def _take_datagrams(self) -> None:
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                data, address, now = receive_stamped(self._socket)
            except BlockingIOError:
                return
            except OSError:
                continue  # tells of an earlier sent datagram that nobody took
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

    def _send(self, data: bytes, destination: Address) -> None:
        if self._seal is not None:
            data = self._seal(data)
        try:
            self._socket.sendto(data, destination)
        except OSError:
            self.refused += 1


def _is_multicast(destination: Address) -> bool:
    return ipaddress.ip_address(destination[0].partition("%")[0]).is_multicast
