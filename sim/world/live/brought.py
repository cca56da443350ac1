"""What a while of a live programme brings to one pole: the station's packets, sealed.

What all poles hear is sealed, and laid one after the other, once for all of them; a pole has only
the order in which it comes there, and when.
"""

from collections.abc import Callable

import numpy as np

from node.kernel.record import new
from sim.drive.batch import Batch, Datagram, Period
from sim.drive.site import Heard
from sim.drive.virtual_shell import Work
from sim.station.programme import ADDRESS, Sending


class Spoken:
    """What the station sends in a while, as all poles hear it.

    Parameters
    ----------
    sending : Sending
        Its packets.
    seal : callable
        Makes of a packet what leaves the station.
    before : Spoken or None
        The while before.
    oldest : int
        Number of the first packet of before that is still on its way to anybody; that of the first
        of these where none is.
    """

    def __init__(
        self,
        sending: Sending,
        seal: Callable[[bytes], bytes],
        before: "Spoken | None",
        oldest: int,
    ) -> None:
        self.oldest = oldest
        """Number of the first packet here."""
        self._sealed: list[bytes] = []
        self._datagrams: list[bytes] = []
        if before is not None:
            self._sealed += before._sealed[oldest - before.oldest :]
            self._datagrams += before._datagrams[oldest - before.oldest :]
        self._sealed += [seal(one) for one in sending.datagrams]
        self._datagrams += sending.datagrams
        self.data = np.frombuffer(bytearray(b"".join(self._datagrams)), np.uint8)
        """(bytes,) uint8: the packets from the oldest on, one after the other."""
        sizes = np.fromiter(map(len, self._datagrams), np.int64, len(self._datagrams))
        self.offsets = np.concatenate([[0], np.cumsum(sizes)])
        """(n + 1,) int64, bytes: where each begins, and the last ends."""

    def sealed_of(self, number: int) -> bytes:
        """Return what left the station for the packet of that number."""
        return self._sealed[number - self.oldest]


class Brought:
    """What of it comes to one pole, and the periods of its card.

    Parameters
    ----------
    spoken : Spoken
        What was sent.
    datagrams : list of bytes
        What comes, in order.
    heard : Heard
        When, and the periods.
    lead_ns : int
        From asking for a period to its presentation.
    """

    def __init__(
        self, spoken: Spoken, datagrams: list[bytes], heard: Heard, *, lead_ns: int
    ) -> None:
        self.datagrams = datagrams
        self.now_ns = heard.now_ns
        """(n,) int64, ns: when each packet is in the jitter buffer, on the node's clock."""
        self._before = heard.before
        self._presentation_ns = heard.presentation_ns
        self._lead_ns = lead_ns
        self.sealed = [spoken.sealed_of(number) for number in heard.numbers.tolist()]
        """What comes for each packet."""
        self._whole = self._of_all(spoken, heard)

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Return which packets come from the period `first` on before `last` begins."""
        before = self._before
        return int(before[first - 1]) if first else 0, int(before[last - 1]) if last else 0

    def work(self, first: int, last: int, datagrams: list[bytes], now_ns: list[int]) -> Work:
        """Return the periods from `first` to `last` with all the packets that come in them."""
        begin, _ = self.span(first, last)
        before = (self._before[first:last] - begin).tolist()
        return Work(datagrams, now_ns, before, self._presentation_ns[first:last].tolist())

    def work_without(
        self, first: int, last: int, opened: list[bytes | None], now_ns: list[int]
    ) -> Work:
        """Return the same where some packets were refused: None in `opened`."""
        begin, _ = self.span(first, last)
        taken = np.array([one is not None for one in opened], np.bool_)
        so_far = np.concatenate([[0], np.cumsum(taken)])
        return Work(
            [one for one in opened if one is not None],
            [at_ns for at_ns, one in zip(now_ns, opened, strict=True) if one is not None],
            so_far[self._before[first:last] - begin].tolist(),
            self._presentation_ns[first:last].tolist(),
        )

    def batch(self, first: int, last: int) -> Batch:
        """Return the periods from `first` to `last` as a batch, with all the packets in them."""
        whole = self._whole
        return Batch(
            data=whole.data,
            datagrams=whole.datagrams,
            periods=whole.periods[first:last],
            source=whole.source,
            lead_ns=whole.lead_ns,
            now_ns=whole.now_ns,
            ends=whole.ends,
            packet=self.span(first, last)[0],
        )

    def _of_all(self, spoken: Spoken, heard: Heard) -> Batch:
        """Return all of it as one batch, the packets where all poles have them."""
        index = heard.numbers - spoken.oldest
        packets = new(Datagram, index.size)
        packets["offset"] = spoken.offsets[index]
        packets["end"] = spoken.offsets[index + 1]
        packets["now_ns"] = heard.now_ns
        periods = new(Period, heard.before.size)
        periods["before"] = heard.before
        periods["presentation_ns"] = heard.presentation_ns
        ends = np.concatenate([[0], np.cumsum(packets["end"] - packets["offset"])])
        return Batch(
            data=spoken.data, datagrams=packets, periods=periods, source=ADDRESS,
            lead_ns=self._lead_ns, now_ns=heard.now_ns, ends=ends,
        )  # fmt: skip
