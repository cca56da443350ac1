"""What a node that plays by itself sends to its horn."""

import numpy as np
import pytest

from node.config import JitterConfig, NodeConfig
from node.counters import Origin
from node.kernel.record import new
from node.opus.libopus import LibopusDecoder
from node.rtp import packet
from node.source.state import Played
from node.stack import SpeakerNode
from node.units import samples_to_ns

MS = 1_000_000
S = 1000 * MS
PERIOD = 480
SENDER = ("10.0.0.1", 5004)
START = 3 * S


def new_node(*, decode=True):
    config = NodeConfig(name="talk", jitter=JitterConfig(mode="adaptive"))
    return SpeakerNode(config, decoder_factory=LibopusDecoder if decode else None)


def play(node, arrivals_ns, programme, duration_ns, *, latency_ns=40 * MS):
    """Deliver packet i of `programme` at arrivals_ns[i]; return the sound."""
    out = np.zeros((duration_ns // (10 * MS) * PERIOD, 1), np.float32)
    waiting = sorted((at, i) for i, at in enumerate(arrivals_ns) if at is not None)
    for k in range(out.shape[0] // PERIOD):
        now_ns = START + k * 10 * MS
        while waiting and waiting[0][0] <= now_ns:
            at_ns, i = waiting.pop(0)
            data = packet.build(
                programme[i % len(programme)],
                sequence=i,
                timestamp=960 * i,
                ssrc=7,
                payload_type=96,
                marker=i == 0,
            )
            node.receive_datagram(data, SENDER, at_ns)
        node.render(out[k * PERIOD : (k + 1) * PERIOD], now_ns + latency_ns)
    return out[:, 0]


def arrivals(packets, *, jitter_ms=3.0, seed=1):
    rng = np.random.default_rng(seed)
    late = rng.exponential(jitter_ms, packets) * MS
    return np.maximum.accumulate(START + np.arange(packets) * 20 * MS + late).astype(int).tolist()


@pytest.mark.parametrize(
    ("packet_ms", "period"), [(2.5, 480), (5, 480), (10, 480), (2.5, 120), (5, 240)]
)
def test_short_packets_are_stretched_together_so_that_the_delay_comes_down(packet_ms, period):
    """The decoder does not matter here: silence of every length stretches like sound."""
    samples = int(packet_ms * 48)
    toc = {2.5: 0xE0, 5: 0xE8, 10: 0xF0}[packet_ms]  # CELT, fullband (RFC 6716, table 2)
    node = new_node()
    payload = bytes([toc]) + bytes(20)
    out = np.zeros((period, 1), np.float32)
    rows = new(Played, 4096)
    journal = []
    sent = 0
    for k in range(25 * 48_000 // period):
        now_ns = START + samples_to_ns(k * period)
        # For 0.6 s nothing comes, then all at once.
        until_ns = START + 3 * S if START + 3 * S < now_ns < START + 3 * S + 600 * MS else now_ns
        while START + samples_to_ns(sent * samples) <= until_ns:
            data = packet.build(
                payload, sequence=sent & 0xFFFF, timestamp=samples * sent, ssrc=7,
                payload_type=96, marker=sent == 0,
            )  # fmt: skip
            node.receive_datagram(data, SENDER, now_ns)
            sent += 1
        node.render(out, now_ns + 40 * MS)
        journal.append(rows[: node.take_journal(rows)].copy())
    rows = np.concatenate(journal)
    real = rows[rows["origin"] == Origin.RECEIVED]
    held_ms = (real["presentation_ns"] - START) / MS - 40 - real["media"] / 48
    assert held_ms.max() > 400
    assert np.median(held_ms[-200:]) < 40
    # Of silence no more is taken out than was asked for.
    assert node.status()["sources"][0]["stretched_ms"] > held_ms.max() - held_ms[-1]


def made_up(origins):
    return int(origins[[Origin.CONCEALED, Origin.FADED, Origin.SILENT]].sum())


@pytest.mark.parametrize("latency_ns", [0, 40 * MS, 150 * MS])
def test_the_programme_is_heard_soon_and_whole_whatever_the_cards_latency(programme, latency_ns):
    node = new_node()
    sound = play(node, arrivals(400), programme, 9 * S, latency_ns=latency_ns)
    origins = node.origin_samples()
    assert origins[Origin.RECEIVED] == 400 * 960
    assert made_up(origins) < 0.02 * 400 * 960
    assert np.flatnonzero(np.abs(sound) > 0.01)[0] < 0.5 * 48_000
    rows = new(Played, 4096)
    count = node.take_journal(rows)
    held_ms = (
        (rows["presentation_ns"][:count] - START) / MS
        - latency_ns / MS
        - rows["media"][:count] / 48
    )
    assert np.median(held_ms[-100:]) < 80
    (source,) = node.status()["sources"]
    steady = held_ms[count // 2 : count - 150]  # before the end, which is drawn out like a stall
    assert abs(source["playout_delay_ms"] - np.median(steady)) < 15
    assert source["played_ms"]["received"] == 400 * 20


def test_after_a_stall_nothing_is_missing_and_the_delay_comes_down_again(programme):
    node = new_node()
    times = arrivals(1000)
    for i in range(300, 320):
        times[i] = max(times[i], START + 6400 * MS)
    sound = play(node, times, programme, 21 * S)
    origins = node.origin_samples()
    assert origins[Origin.RECEIVED] == 1000 * 960
    assert made_up(origins) > 0
    assert np.abs(np.diff(sound)).max() < 0.5
    rows = new(Played, 4096)
    rows = rows[: node.take_journal(rows)]
    played_ms = np.diff(rows["presentation_ns"]) / MS
    is_real = (rows["origin"][:-1] == Origin.RECEIVED) & (
        played_ms < 45
    )  # more: a pause came after it
    done_ms = np.abs(played_ms - rows["samples"][:-1] / 48)[is_real].sum()
    assert done_ms > 150
    told_ms = node.status()["sources"][0]["stretched_ms"]  # what was asked for, not done to the ms
    assert 0.6 * done_ms < told_ms < 1.6 * done_ms


def test_counting_alone_decides_like_playing(programme):
    times = arrivals(300, jitter_ms=1.0)
    sounding, counting = new_node(), new_node(decode=False)
    play(sounding, times, programme, 7 * S)
    play(counting, times, programme, 7 * S)
    assert counting.origin_samples()[Origin.RECEIVED] == sounding.origin_samples()[Origin.RECEIVED]


def test_lost_packets_are_concealed(programme):
    node = new_node()
    times = arrivals(500)
    for i in range(50, 500, 25):
        times[i] = None
    play(node, times, programme, 11 * S)
    assert node.origin_samples()[Origin.RECEIVED] == (500 - 18) * 960
    assert made_up(node.origin_samples()) > 0
