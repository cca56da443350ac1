"""Many packets and periods of one source in one call, as long as nothing is decided.

A node is asked for many periods at a time. As long as one source plays alone, each period is
`playback.advance` and each packet `playback.receive`: here is the loop over both. Of a node that
sounds it is left for each packet that is decoded, and its periods then leave by the node's output
all together. Whatever needs more than that (another source, a sender that restarts, a source that
falls silent, a packet that is to be asked for again) ends it, and the node goes on as it always
does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from node.audio import resampler
from node.horn import REFRESH_NS
from node.jitter import state as js
from node.jitter.repair import next_request_ns, watch
from node.kernel import kernel
from node.kernel.bound import bound
from node.kernel.record import Record, Records, new, whole
from node.source.playback import advance, receive
from node.source.receiver import Receiver
from node.source.state import DONE, OTHER_SOURCE, Source
from node.stack import LATENCY_NS, SpeakerNode


class Datagram(Record):
    """One datagram of a batch."""

    offset: int = whole("bytes", "Where it begins in the data of the batch.")
    end: int = whole("bytes", "Where it ends.")
    now_ns: int = whole("ns", "Its arrival.")


class Period(Record):
    """One period of a batch."""

    before: int = whole("", "How many of the datagrams come before it.")
    presentation_ns: int = whole("ns", "When its first sample leaves the converter.")


class Progress(Record):
    """How far a batch is, and how far it may go."""

    packet: int = whole("", "The next datagram.")
    period: int = whole("", "The next period.")
    latency_ns: int = whole("ns", "Of what follows the source: it renders so much ahead.")
    until_ns: int = whole("ns", "The first period that begins, with the latency, then is left.")
    refresh_ns: int = whole(
        "ns", "A source that is silent for so long must be asked whether it keeps the horn."
    )
    lead_ns: int = whole("ns", "From asking for a period to its presentation.")
    asks: int = whole("", "1: the node asks for what is lost.")
    period_samples: int = whole("samples", "Of a period that is kept; 0: all in one place.")
    action: int = whole("", "What the period under way is to be given, or DONE.")


@dataclass(slots=True, eq=False)
class Batch:
    """Datagrams and periods in the order in which a node gets them; made by `make_batch`."""

    data: NDArray[np.uint8]
    """(bytes,) uint8: all datagrams, one after the other."""

    datagrams: Records[Datagram]
    """(n,): each of them."""

    periods: Records[Period]
    """(m,): each of them."""

    source: tuple[str, int]
    """Where all the datagrams come from."""

    lead_ns: int
    """From asking for a period to its presentation."""

    now_ns: NDArray[np.int64]
    """(n,) int64, ns: arrival of each datagram."""

    ends: NDArray[np.int64]
    """(n + 1,) int64, bytes: how much came before each datagram, and in all."""

    packet: int = 0
    """The next datagram."""

    period: int = 0
    """The next period."""


@kernel(
    "int64(Source[::1], uint8[:, ::1], float32[:, ::1], float32[:, ::1],"
    " uint8[::1], Datagram[::1], Period[::1], float32[:, ::1], Progress[::1])"
)
def _play(
    sources: Records[Source],
    payloads: NDArray[np.uint8],
    fifo: NDArray[np.float32],
    table: NDArray[np.float32],
    data: NDArray[np.uint8],
    datagrams: Records[Datagram],
    periods: Records[Period],
    out: NDArray[np.float32],
    batch: Records[Progress],
) -> int:
    """Run periods of a source that plays alone; return the last result of `receive` or 0.

    payloads  (slots, PAYLOAD_BYTES_MAX) uint8, bytes of what is held
    fifo      (FIFO_SAMPLES, channels) float32, full scale 1.0
    table     (PHASES, 2 * TAPS) float32, a ratio: of the resampler
    data      (bytes,) uint8, all datagrams one after another; with the two after it a `Batch`
    out       (n, channels) float32, full scale 1.0: all periods, or one

    A result at or below OTHER_SOURCE was not taken and is still to come; js.RESTARTED was taken. A
    period in which something is to be asked for is left, its datagrams taken. With an `action`,
    see `playback.advance`, the call for the same period is still to come.
    """
    source = sources[0]
    state = source.jitter[0]
    slots = source.slots[: source.slot_count]
    progress = batch[0]
    samples = progress.period_samples
    rows = samples if samples > 0 else out.shape[0]
    while progress.period < periods.shape[0]:
        presentation_ns = periods[progress.period].presentation_ns
        ahead_ns = presentation_ns + progress.latency_ns
        at = progress.period * samples
        begins = progress.action == DONE
        if begins and ahead_ns >= progress.until_ns:
            break
        if begins and source.playout[0].last_sound_ns <= ahead_ns - progress.refresh_ns:
            break
        while progress.packet < periods[progress.period].before:
            one = datagrams[progress.packet]
            result = receive(source, data[one.offset : one.end], payloads, one.now_ns)
            if result <= OTHER_SOURCE:
                return int(result)
            progress.packet += 1
            if result == js.RESTARTED:
                return int(result)
            if progress.asks != 0 and result >= 0:
                watch(source.repair[0], state, slots, one.now_ns)
        if begins and progress.asks != 0:
            due_ns = next_request_ns(source.repair[0], state)
            if due_ns != js.NONE and due_ns <= presentation_ns - progress.lead_ns:
                break
        if begins and state.proven == 0:
            break
        progress.action = advance(source, fifo, table, out[at : at + rows], ahead_ns)
        if progress.action != DONE:
            break
        progress.period += 1
    return 0


class Loop:
    """The loop over the source that played alone last: what that owns is looked at once."""

    def __init__(self) -> None:
        self.values = np.zeros(len(Progress.fields), np.int64)
        """(fields,) int64: the numbers of `progress`, of which it has no others."""
        self.progress = cast(Records[Progress], self.values.view(Progress.dtype))
        """An array of one."""
        self.action: NDArray[np.int64] = self.progress["action"]
        self._alone: Receiver | None = None
        self._run: Callable[..., int] = _play

    def of(self, alone: Receiver) -> Callable[..., int]:
        """Return `_play` for a source, without its first four arguments."""
        if alone is not self._alone:
            self._alone = alone
            self._run = bound(
                _play, alone.record, alone.buffer.payloads, alone.fifo, resampler.TABLE
            )
        return self._run


def play_batch(
    node: SpeakerNode,
    batch: Batch,
    until_ns: int,
    sound: NDArray[np.float32],
    loop: Loop,
    *,
    period_samples: int,
) -> None:
    """Go on in a batch as far as one source plays alone, and to `until_ns`.

    As if each datagram and period had come by itself; what is left is the caller's.
    sound           (n, channels) float32, full scale 1.0: all periods of the batch; of a node that
                    counts only one, in which nothing is heard
    period_samples  of each; 0 of a node that counts only
    """
    alone = node.alone
    # The loop plays by the group's time.
    if alone is None or not alone.is_plain or alone.address != batch.source:
        return
    first, begin = batch.packet, batch.period
    loop.values[:] = (
        first, batch.period, LATENCY_NS, until_ns + LATENCY_NS, REFRESH_NS, batch.lead_ns,
        alone.asks, period_samples, DONE,
    )  # fmt: skip
    go_on, of = loop.of(alone), (batch.data, batch.datagrams, batch.periods, sound, loop.progress)
    result = go_on(*of)
    while (action := int(loop.action[0])) != DONE:
        alone.decode(action)
        result = go_on(*of)
    last, batch.period, *_ = loop.values.tolist()
    if period_samples and batch.period > begin:
        heard = sound[begin * period_samples : batch.period * period_samples]
        node.output.finish_periods(heard.reshape(-1, period_samples, heard.shape[1]))
    batch.packet = last
    if last > first:
        taken_bytes = int(batch.ends[last]) - int(batch.ends[first])
        is_new = result == js.RESTARTED
        alone.note_received(int(batch.now_ns[last - 1]), taken_bytes, begins_anew=is_new)
    node.note_received(last - first)


def make_batch(
    datagrams: list[bytes],
    now_ns: NDArray[np.int64],
    before: NDArray[np.int64],
    presentation_ns: NDArray[np.int64],
    *,
    lead_ns: int,
    source: tuple[str, int],
) -> Batch:
    """Return a batch of datagrams and periods; the arguments are as in its records.

    now_ns           (datagrams,) int64, arrival of each
    before           (periods,) int64, count of datagrams that come before each period
    presentation_ns  (periods,) int64, when each leaves the converter
    """
    ends = np.zeros(len(datagrams) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, datagrams), np.int64, len(datagrams)), out=ends[1:])
    packets = new(Datagram, len(datagrams))
    packets["offset"] = ends[:-1]
    packets["end"] = ends[1:]
    packets["now_ns"] = now_ns
    periods = new(Period, len(before))
    periods["before"] = before
    periods["presentation_ns"] = presentation_ns
    return Batch(
        data=np.frombuffer(bytearray(b"".join(datagrams)), np.uint8),
        datagrams=packets,
        periods=periods,
        source=source,
        lead_ns=lead_ns,
        now_ns=now_ns,
        ends=ends,
    )
