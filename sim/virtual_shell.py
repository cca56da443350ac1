"""What the shell does on a gateway, in virtual time: datagrams in, deadlines, events, sound out."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.events import SendDatagram
from node.stack import SpeakerNode
from sim.conversation import Conversation
from sim.oscillator import Oscillator
from sim.sender import ADDRESS


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
    """

    def __init__(
        self,
        node: SpeakerNode,
        clock: Oscillator,
        conversation: Conversation | None,
        *,
        period_samples: int,
        lead_ns: int,
    ) -> None:
        self._node = node
        self._clock = clock
        self._conversation = conversation
        self._period_samples = period_samples
        self._lead_ns = lead_ns
        self._answers: deque[tuple[int, bytes]] = deque()
        self._wake_ns = 0

    def play(self, work: Work, first: int, last: int, sound: NDArray[np.float32]) -> None:
        """Run the periods from `first` to `last` of a chunk, and the datagrams before each.

        The one loop that runs for each packet and each period.
        """
        receive = self._node.receive_datagram
        render = self._node.render
        datagrams, now_ns, period_samples = work.datagrams, work.now_ns, self._period_samples
        # What came before the first one is in the node, or came while it was down.
        datagram = work.before[first - 1] if first else 0
        at = first * period_samples
        for before, presentation_ns in zip(
            work.before[first:last], work.presentation_ns[first:last], strict=True
        ):
            while datagram < before:
                receive(datagrams[datagram], ADDRESS, now_ns[datagram])
                datagram += 1
            if presentation_ns >= self._wake_ns:
                self._attend(presentation_ns - self._lead_ns)
            end = at + period_samples
            render(sound[at:end], presentation_ns)
            at = end
        if last == len(work.before):
            # What comes after the last period of a chunk comes before the first of the next.
            for data, arrival_ns in zip(datagrams[datagram:], now_ns[datagram:], strict=True):
                receive(data, ADDRESS, arrival_ns)

    def _attend(self, now_ns: int) -> None:
        """Hand over answers and run deadlines that are due; note when to come back."""
        node = self._node
        while self._answers and self._answers[0][0] <= now_ns:
            arrival_ns, data = self._answers.popleft()
            node.receive_datagram(data, ADDRESS, arrival_ns)
        deadline_ns = node.next_deadline_ns()
        if deadline_ns is not None and deadline_ns <= now_ns:
            node.handle_deadline(now_ns)
            deadline_ns = node.next_deadline_ns()
        while (event := node.next_event()) is not None:
            if isinstance(event, SendDatagram) and self._conversation is not None:
                self._ask(event.data, now_ns)
        # Without a source there is no deadline, and with the next packet there may be one.
        next_ns = now_ns if deadline_ns is None else deadline_ns
        if self._answers:
            next_ns = min(next_ns, self._answers[0][0])
        self._wake_ns = next_ns + self._lead_ns

    def _ask(self, request: bytes, now_ns: int) -> None:
        assert self._conversation is not None
        answer = self._conversation.answer(request, self._clock.true_ns(now_ns))
        if answer is not None:
            arrival_ns = self._clock.local_ns(answer[0])
            # Links keep the order, so answers do.
            self._answers.append((arrival_ns, answer[1]))
