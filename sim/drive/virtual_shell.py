"""What the shell does on a gateway, in virtual time: datagrams in, deadlines, events, sound out."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from node.events import Event, SendDatagram
from node.stack import SpeakerNode
from sim.drive.batch import Batch, Loop, make_batch, play_batch
from sim.gateway.crystal import Oscillator
from sim.station.conversation import Conversation
from sim.station.programme import ADDRESS


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Datagrams and periods of a chunk in the order in which the CPU gets to them."""

    datagrams: list[bytes]
    now_ns: list[int]
    """When each is in the jitter buffer, on the node's clock."""

    before: list[int]
    """How many of the datagrams come before each period."""

    presentation_ns: list[int]
    """When the first sample of each period leaves the converter, on the node's clock."""


Take = Callable[[bytes, tuple[str, int], int], None]


class VirtualShell:
    """The shell of one node.

    Parameters
    ----------
    node : SpeakerNode
        What it drives.
    clock : Oscillator
        The node's monotonic clock.
    conversation : Conversation or None
        Answers what the node sends.
    period_samples : int
        Of the sound card.
    lead_ns : int
        From the moment at which a period is asked for to its presentation.
    counts_only : bool
        The node makes no sound.
    take : callable, optional
        Gives an answer of the station to the node: (bytes, address, ns on the node's clock). Of a
        node under orders somebody looks first whose it is.
    passed : callable, optional
        Gets what the node tells beside datagrams.
    """

    def __init__(
        self,
        node: SpeakerNode,
        clock: Oscillator,
        conversation: Conversation | None,
        *,
        period_samples: int,
        lead_ns: int,
        counts_only: bool,
        take: Take | None = None,
        passed: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self._node = node
        self._passed = passed
        # The station of a commune has a session, by whose key its packets are known.
        self._receive: Take = partial(node.receive_datagram, is_authentic=True)
        self._take = self._receive if take is None else take
        self._clock = clock
        self._conversation = conversation
        self._period_samples = period_samples
        self._lead_ns = lead_ns
        self._counts_only = counts_only
        self._answers: list[tuple[int, int, bytes]] = []
        """Heap of arrival, number and datagram: what was sent again may be overtaken."""
        self._answered = 0
        self._wake_ns = 0
        """When a batch ends at the latest."""
        self._look_ns = 0
        """When to look at the node: not after `_wake_ns`, nor after it may ask for a packet."""
        self._loop = Loop()

    def play(self, work: Work, first: int, last: int, sound: NDArray[np.float32]) -> None:
        """Run the periods from `first` to `last` of a chunk, and the datagrams before each.

        sound  (n, channels) float32, full scale 1.0: what these periods play
        """
        # What came before the first one is in the node, or came while it was down.
        datagram = work.before[first - 1] if first else 0
        self.run(work, datagram, first, last, sound)

    def receive(self, datagrams: list[bytes], now_ns: list[int]) -> None:
        """Give the node what came after the last period of a chunk: it comes before the next one.

        now_ns  when each is in the jitter buffer, on the node's clock
        """
        for data, at_ns in zip(datagrams, now_ns, strict=True):
            self._receive(data, ADDRESS, at_ns)
        self.look_soon()

    def run(
        self, work: Work, datagram: int, first: int, last: int, sound: NDArray[np.float32]
    ) -> None:
        """Run the periods from `first` to `last`, and the datagrams from `datagram` on before each.

        sound  (n, channels) float32, full scale 1.0: what these periods play
        """
        batch = make_batch(
            work.datagrams[datagram : work.before[last - 1]],
            np.array(work.now_ns[datagram : work.before[last - 1]], np.int64),
            np.array(work.before[first:last], np.int64) - datagram,
            np.array(work.presentation_ns[first:last], np.int64),
            lead_ns=self._lead_ns,
            source=ADDRESS,
        )
        self._go_on(work, batch, datagram, first, sound)

    def look_soon(self) -> None:
        """Look at the node at its next period: it was given something."""
        self._look_ns = 0

    def run_batch(self, work: Work, batch: Batch, sound: NDArray[np.float32]) -> None:
        """Run all of `work`, of which a batch is there too; the node makes no sound.

        sound  (n, channels) float32, full scale 1.0: one period at least
        """
        self._go_on(work, batch, -batch.packet, 0, sound)

    def _take_until(self, work: Work, datagram: int, period: int) -> int:
        """Take the datagrams before a period, and attend to the node; return the next of them."""
        node, receive = self._node, self._receive
        for i in range(datagram, work.before[period]):
            receive(work.datagrams[i], ADDRESS, work.now_ns[i])
            if node.is_missing:
                self._look_ns = 0
        presentation_ns = work.presentation_ns[period]
        if presentation_ns >= self._look_ns:
            self._attend(presentation_ns - self._lead_ns)
        return max(datagram, work.before[period])

    def _go_on(
        self, work: Work, batch: Batch, datagram: int, first: int, sound: NDArray[np.float32]
    ) -> None:
        """Run a batch that begins in `work` with the period `first`.

        Its datagram of number 0 is that of number `datagram` there.
        """
        samples = self._period_samples
        kept_samples = 0 if self._counts_only else samples
        last = first + len(batch.periods)
        heard = sound[first * kept_samples : max(last * kept_samples, samples)]
        presentation_ns = work.presentation_ns
        attended = -1
        while True:
            taken = batch.packet
            # Where the node is to be looked at first, there is nothing to go on with.
            if presentation_ns[first + batch.period] < self._wake_ns:
                play_batch(
                    self._node, batch, self._wake_ns, heard, self._loop,
                    period_samples=kept_samples,
                )  # fmt: skip
            if batch.packet > taken:
                self._look_ns = 0
            period = first + batch.period
            if period == last:
                return
            if period != attended:
                batch.packet = self._take_until(work, datagram + batch.packet, period) - datagram
                attended = period
                continue  # looked at, it may go on with this very period
            at = batch.period * kept_samples
            self._node.render(heard[at : at + samples], presentation_ns[period])
            batch.period += 1
            if period + 1 == last:
                return

    def _attend(self, now_ns: int) -> None:
        """Hand over answers and run deadlines that are due; note when to come back."""
        node = self._node
        while self._answers and self._answers[0][0] <= now_ns:
            arrival_ns, _, data = heapq.heappop(self._answers)
            self._take(data, ADDRESS, arrival_ns)
        deadline_ns, watched_ns = node.next_deadlines_ns()
        if deadline_ns is not None and deadline_ns <= now_ns:
            node.handle_deadline(now_ns)
            deadline_ns, watched_ns = node.next_deadlines_ns()
        while (event := node.next_event()) is not None:
            if isinstance(event, SendDatagram):
                self._ask(event.data, now_ns)
            else:
                self._passed(event)
        # Without a source there is no deadline, and with the next packet there may be one.
        self._look_ns = self._when(now_ns, deadline_ns)
        self._wake_ns = self._look_ns
        if watched_ns != deadline_ns:
            self._wake_ns = self._when(now_ns, watched_ns)

    def _when(self, now_ns: int, deadline_ns: int | None) -> int:
        next_ns = now_ns if deadline_ns is None else deadline_ns
        if self._answers:
            next_ns = min(next_ns, self._answers[0][0])
        return next_ns + self._lead_ns

    def _ask(self, request: bytes, now_ns: int) -> None:
        if self._conversation is None:
            return
        for arrival_ns, data in self._conversation.answers(request, self._clock.true_ns(now_ns)):
            self._answered += 1
            heapq.heappush(self._answers, (self._clock.local_ns(arrival_ns), self._answered, data))
