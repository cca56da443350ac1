"""What the loop hears goes to the core and to the faults; torn sound blames no horn."""

import os
import threading
import time

import numpy as np
import pytest

from node.hearing.monitor import Monitor
from node.shell.health import Health
from node.shell.hearing.listening import DEAF, SILENT_HORN, TORN, Listening
from node.shell.hearing.settings import LoopConfig
from node.shell.loop.core_sound import CoreLock
from tests.node.hearing.test_match import voice

pytestmark = pytest.mark.real_time

FAULT = "the microphone heard nothing of it"


class Core:
    """As much of a core as is told: the horn is at fault from the first word of that on."""

    def __init__(self):
        self.told = []

    def receive_verdict(self, verdict, now_ns):
        self.told.append(verdict)
        return FAULT if verdict.word == "not heard" else None


class Pole:
    """A node that speaks all the time, and a loop that hears noise at the pace of a card."""

    def __init__(self, folder):
        os.mkfifo(folder / "loop")
        self.config = LoopConfig(file=str(folder / "loop"))
        self.monitor = Monitor((self.config.tone(silent=False), self.config.tone(silent=True)))
        self.core, self.health, self.lock = Core(), Health(), CoreLock()
        self.listening = Listening(self.config, self.monitor, self.core)
        self.fifo = os.open(folder / "loop", os.O_RDWR | os.O_NONBLOCK)
        self.is_quiet = False
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.play, daemon=True)
        self.thread.start()
        self.listening.start()

    def play(self):
        rng = np.random.default_rng(1)
        sound = voice(rng, 30.0)
        for i in range(300):
            if self.ended.wait(0.1):
                return
            part = sound[i * 4800 : (i + 1) * 4800, np.newaxis].copy()
            self.monitor.process(part, time.monotonic_ns())
            noise = np.rint(100 * rng.standard_normal(4800)).astype("<i2")
            if not self.is_quiet:
                os.write(self.fifo, noise.tobytes())

    def follow(self, seconds, *, underruns=lambda: 0):
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.listening.follow(self.lock, self.health, underruns(), time.monotonic_ns())
            time.sleep(0.1)
        return " ".join(self.health.why())

    def close(self):
        self.ended.set()
        self.thread.join()
        self.listening.close()
        os.close(self.fifo)


@pytest.fixture
def pole(tmp_path):
    one = Pole(tmp_path)
    yield one
    one.close()


def test_a_horn_that_is_not_heard_is_a_fault_and_counted(pole):
    assert f"{SILENT_HORN}: {FAULT}" in pole.follow(6)
    assert {one.word for one in pole.core.told} - {"cannot tell"} == {"not heard"}
    status = pole.listening.status()
    assert status["verdicts"] == len(pole.core.told)
    assert (status["kind"], status["losses"]) == ("microphone", 0)


def test_sound_that_the_card_tore_blames_no_horn(pole):
    counted = iter(range(1000))
    assert SILENT_HORN not in pole.follow(6, underruns=lambda: next(counted))
    assert {one.word for one in pole.core.told} == {"cannot tell"}
    assert TORN in [one.why for one in pole.core.told]


def test_a_capture_that_falls_silent_is_a_fault_of_its_own(pole):
    pole.follow(2)
    pole.is_quiet = True
    told = pole.follow(6)
    assert f"{DEAF}: " in told
    assert "no samples for 3 s" in told
