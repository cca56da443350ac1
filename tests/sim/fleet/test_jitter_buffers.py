"""A province counts what each of its nodes would have counted by itself."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from node.config import JitterConfig
from node.jitter import state as at
from node.jitter.buffer import JitterBuffer
from node.units import ns_to_samples
from sim.fleet.jitter_buffers import SLOTS, JitterBatch, programme

FRAME = 960
MODES = ["synchronised", "adaptive"]


@pytest.fixture(scope="module")
def heard():
    """Thirty seconds to seven nodes, each with its own jitter, losses, overtaking and stalls."""
    rng = np.random.default_rng(4)
    media = np.arange(1500, dtype=np.int64) * FRAME
    came_ms = media / 48 + 20 + rng.exponential(15, (7, media.size))
    for node in range(7):
        begin = rng.uniform(5_000, 20_000)
        caught = (came_ms[node] > begin) & (came_ms[node] < begin + 300)
        came_ms[node, caught] = begin + 300
    arrivals_ns = (came_ms * 1e6).astype(np.int64)
    arrivals_ns[rng.random(arrivals_ns.shape) < 0.03] = -1
    return programme(media, FRAME, arrivals_ns)


def one_by_one(config, heard, node, start):
    """The same through one buffer object, packet by packet in Python."""
    buffer = JitterBuffer(config, payload_bytes=0, slots=SLOTS)
    arrivals_ns = heard.arrivals_ns[node]
    order = [one for one in np.argsort(arrivals_ns, kind="stable") if arrivals_ns[one] >= 0]
    now = max(start, ns_to_samples(int(arrivals_ns[order[0]])))
    end = start + int(heard.media[-1]) + FRAME
    while (start < 0 or now < end) and (order or buffer.state["held"][0] > 0):
        now_ns = (now * 10**9 + 47_999) // 48_000
        while order and arrivals_ns[order[0]] <= now_ns:
            i = int(order.pop(0))
            buffer.insert(i & 0xFFFF, i * FRAME & 0xFFFF_FFFF, FRAME, int(arrivals_ns[i]))
        if start >= 0 and buffer.state["phase"][0] == at.WAITING:
            buffer.seek(now - start)
        buffer.pull(now_ns)
        now += int(buffer.state["action_samples"][0] + buffer.state["action_stretch_samples"][0])
    return buffer


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("parts", [1, 2, 7])
def test_every_node_of_a_province_ends_in_the_state_it_would_reach_alone(heard, mode, parts):
    config = JitterConfig(mode=mode)
    starts = np.arange(7, dtype=np.int64) * 480 + 4800 if mode == "synchronised" else None
    batch = JitterBatch(config, 7, parts=parts)
    with ThreadPoolExecutor(2) as pool:
        batch.play(heard, starts=starts, run=pool.map)
    for node in range(7):
        alone = one_by_one(config, heard, node, -1 if starts is None else int(starts[node]))
        assert batch.states[node] == alone.state[0]
        assert (batch.slots[node] == alone.slots).all()
        np.testing.assert_array_equal(batch.origin_samples[node], alone.origin_samples)
    assert (batch.origin_samples.sum(axis=1) > 25 * 48_000).all()


def test_a_node_that_hears_nothing_stays_empty(heard):
    batch = JitterBatch(JitterConfig(mode="adaptive"), 1)
    never = np.full((1, heard.media.size), -1, np.int64)
    batch.play(programme(heard.media, FRAME, never))
    assert batch.origin_samples.sum() == 0


@pytest.mark.parametrize(
    ("nodes", "parts", "slots"), [(0, 1, 64), (2, 3, 64), (100_001, 1, 64), (4, 0, 64), (4, 1, 48)]
)
def test_an_impossible_province_is_refused_with_what_would_be_right(nodes, parts, slots):
    with pytest.raises(ValueError, match="must be at most 100000, 1 to nodes, and a power of two"):
        JitterBatch(JitterConfig(), nodes, parts=parts, slots=slots)


@pytest.mark.parametrize("mode", MODES)
def test_a_programme_for_another_province_is_refused(heard, mode):
    batch = JitterBatch(JitterConfig(mode=mode), 8)
    with pytest.raises(ValueError, match="must be \\(8, 1500\\)"):
        batch.play(heard, starts=None if mode == "adaptive" else np.zeros(8, np.int64))
    batch = JitterBatch(JitterConfig(mode=mode), 7)
    with pytest.raises(ValueError, match="starts is"):
        batch.play(heard, starts=None if mode == "synchronised" else np.zeros(7, np.int64))
