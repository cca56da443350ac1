"""A card that is missing is waited for; one that is lost is found again; one that hangs is told."""

import time

import numpy as np
import pytest

from node.shell.card.card_keeper import WAITS_S, CardKeeper
from node.shell.card.sound_watch import PATIENCE_NS, STALLED, SoundWatch
from node.shell.faults import ShellError
from node.units import NS_PER_MS, NS_PER_S


class FakeCard:
    """A card that asks when the test says so."""

    def __init__(self, bench):
        self.underruns, self.jumps, self.card_skew_ppm, self.real_time = 2, 1, 5.0, True
        self.missed_samples = 960
        self.bench, self.lost, self.render = bench, None, None
        bench.opened.append(self)

    def start(self, render):
        self.render = render

    def ask(self):
        out = np.ones((480, 1), np.float32)
        self.render(out, 0)
        return out

    def fault(self):
        return self.lost

    def close(self):
        if self.bench.hangs_at_end:
            raise ShellError("it did not close", hangs=True)


class Bench:
    """A machine with or without a card, and the node's keeper of it."""

    def __init__(self, folder, *, present):
        self.present, self.folder, self.hangs_at_end = present, folder, False
        self.opened, self.tries, self.asked = [], [], []
        self.keeper = CardKeeper(self.make, devices=folder)

    def make(self, again):
        self.tries.append((time.monotonic(), again))
        if self.present == "hangs":
            raise ShellError("it did not open", hangs=True)
        if not self.present:
            raise ShellError("no sound card: plug one in")
        return FakeCard(self)

    def start(self):
        self.keeper.start(lambda out, at_ns: (self.asked.append(at_ns), out.fill(0.5)))

    def plug(self):
        self.present = True
        (self.folder / "pcmC1D0p").touch()

    def until(self, condition, limit_s=6.0):
        end = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.fixture
def bench(tmp_path):
    one = Bench(tmp_path, present=True)
    yield one
    one.hangs_at_end = False
    one.keeper.close()


def test_a_card_that_is_there_asks_and_its_figures_are_told(bench):
    assert bench.keeper.opening()
    bench.start()
    bench.until(lambda: bench.keeper.missing() is None)
    assert not bench.keeper.opening()
    assert (bench.opened[0].ask() == 0.5).all() and bench.asked == [0]
    assert (bench.keeper.underruns, bench.keeper.real_time) == (2, True)


def test_without_a_card_the_reason_is_told_and_a_device_that_comes_is_tried_at_once(bench):
    bench.present = False
    bench.start()
    bench.until(lambda: not bench.keeper.opening())
    assert bench.keeper.missing() == "no sound card: plug one in"
    bench.until(lambda: len(bench.tries) == 2)  # the next wait is 2 s
    began = time.monotonic()
    bench.plug()
    bench.until(lambda: bench.keeper.missing() is None)
    assert time.monotonic() - began <= 1.5
    assert [again for _, again in bench.tries] == [False, True, True]


def test_a_lost_card_gets_silence_and_the_next_one_is_looked_for_anew(bench):
    bench.start()
    bench.until(lambda: bench.keeper.missing() is None)
    first = bench.opened[0]
    bench.present = False
    first.lost = ShellError("sound card 'USB' stopped: was it unplugged?")
    assert "unplugged" in bench.keeper.missing()
    assert (first.ask() == 0.0).all() and bench.asked == []
    bench.until(lambda: len(bench.tries) == 2)
    assert bench.keeper.missing() == "no sound card: plug one in"
    assert (bench.keeper.losses, bench.keeper.underruns) == (1, 2), "what was counted stays"
    assert bench.keeper.missed_samples == 960
    bench.plug()
    bench.until(lambda: bench.keeper.missing() is None)
    assert (bench.opened[1].ask() == 0.5).all()
    assert bench.keeper.fault() is None


def test_a_missing_card_is_not_looked_for_more_and_more_often(bench, monkeypatch):
    monkeypatch.setattr("node.shell.card.card_keeper.WAITS_S", (0.5, 1.0))
    bench.present = False
    bench.start()
    bench.until(lambda: len(bench.tries) == 5)
    waits = np.diff([at for at, _ in bench.tries])
    assert waits[0] >= 0.45 and (waits[1:] >= 0.95).all() and (waits <= 2.5).all()
    assert WAITS_S == (1.0, 30.0)


@pytest.mark.parametrize("when", ["open", "close"])
def test_a_library_that_hangs_is_a_fault_for_good(bench, when):
    bench.present = "hangs" if when == "open" else True
    bench.hangs_at_end = when == "close"
    bench.start()
    if when == "close":
        bench.until(lambda: bench.keeper.missing() is None)
        bench.opened[0].lost = ShellError("stopped")
        bench.keeper.missing()
    bench.until(lambda: bench.keeper.fault() is not None)
    assert bench.keeper.fault().hangs
    with pytest.raises(ShellError):
        bench.keeper.close()
    bench.keeper = Bench(bench.folder, present=True).keeper


class FakeSink:
    """A sink as the test wants it."""

    def __init__(self, *, missing=None, fault=None):
        self.why, self.end = missing, fault

    def missing(self):
        return self.why

    def fault(self):
        return self.end


def looked(watch, until_s, *, periods=lambda s: 0):
    """Look each 100 ms; return what was seen: whether the watchdog is fed, and what is missing."""
    seen = []
    for tick in range(1, int(until_s * 10) + 1):
        watch.periods = periods(tick / 10)
        seen.append((watch.look(tick * 100 * NS_PER_MS), watch.missing))
    return seen


def test_a_sink_that_asked_and_asks_no_more_ends_the_node():
    watch = SoundWatch(FakeSink(), 0)
    with pytest.raises(ShellError, match="asked for no sound"):
        looked(watch, 9, periods=lambda s: min(int(s * 100), 300))
    # From 3 s on: 2.5 s and a tick.
    assert watch.missing is None


def test_a_sink_that_never_asked_is_told_and_ends_the_node_after_a_minute():
    watch = SoundWatch(FakeSink(), 0)
    seen = looked(watch, PATIENCE_NS // NS_PER_S - 1)
    assert seen[99] == (True, STALLED), "told within 10 s, and the supervisor lets it live"
    with pytest.raises(ShellError):
        looked(watch, PATIENCE_NS // NS_PER_S + 9)


def test_a_missing_card_feeds_the_watchdog_for_ever_and_a_hanging_one_for_a_minute():
    assert all(fed for fed, _ in looked(SoundWatch(FakeSink(missing="gone"), 0), 200))
    hung = ShellError("it did not open", hangs=True)
    watch = SoundWatch(FakeSink(missing="it did not open", fault=hung), 0)
    assert all(fed for fed, _ in looked(watch, PATIENCE_NS // NS_PER_S - 1))
    with pytest.raises(ShellError):
        watch.look(PATIENCE_NS + NS_PER_S)


def test_a_fault_that_no_patience_helps_ends_the_node_at_once():
    with pytest.raises(ShellError, match="disk"):
        SoundWatch(FakeSink(fault=ShellError("the disk is full")), 0).look(1)
