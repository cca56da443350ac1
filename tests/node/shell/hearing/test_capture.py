"""Samples come from a FIFO, a file or arecord; what ends or hangs is told and tried again."""

import os
import stat
import time

import numpy as np
import pytest

from node.shell.hearing.capture import Capture
from node.shell.hearing.settings import LoopConfig

RATE_HZ = 48_000


class Heard:
    """A capture, and what it handed on."""

    def __init__(self, **config):
        self.sound = np.zeros(0, np.float32)
        self.capture = Capture(LoopConfig(**config), self.take)
        self.capture.start()

    def take(self, sound, now_ns):
        assert 0 < sound.size <= RATE_HZ // 4
        assert sound.dtype == np.float32
        self.sound = np.concatenate((self.sound, sound))

    def until(self, is_so, limit_s=8.0):
        end_s = time.monotonic() + limit_s
        while not is_so(self):
            assert time.monotonic() < end_s, self.fault
            time.sleep(0.02)

    @property
    def fault(self):
        return self.capture.fault(time.monotonic_ns())


@pytest.fixture
def listen():
    started = []

    def start(**config):
        started.append(Heard(**config))
        return started[-1]

    yield start
    for one in started:
        began_s = time.monotonic()
        one.capture.close()
        assert time.monotonic() - began_s < 1.0


def samples(n):
    return (np.arange(n) % 20_000 - 10_000).astype("<i2")


def program(folder, monkeypatch, text):
    """A program that is called arecord."""
    path = folder / "arecord"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_what_is_written_into_a_fifo_is_handed_on_whatever_way_it_is_cut(listen, tmp_path):
    os.mkfifo(tmp_path / "loop")
    one = listen(file=str(tmp_path / "loop"))
    data = samples(9000).tobytes()
    with open(tmp_path / "loop", "wb", buffering=0) as fifo:
        for at in range(0, len(data), 1001):  # an odd number of bytes: half samples
            fifo.write(data[at : at + 1001])
            time.sleep(0.002)
        one.until(lambda one: one.sound.size == 9000)
    assert np.allclose(one.sound * 32768, samples(9000))
    assert one.fault is None


def test_a_fifo_to_which_nobody_writes_is_told_and_heard_again_when_somebody_does(listen, tmp_path):
    os.mkfifo(tmp_path / "loop")
    one = listen(file=str(tmp_path / "loop"))
    assert one.fault is None, "it may still come"
    one.until(lambda one: one.fault is not None)
    assert one.fault.endswith("no samples for 3 s")
    with open(tmp_path / "loop", "wb", buffering=0) as fifo:
        fifo.write(samples(480).tobytes())
        one.until(lambda one: one.fault is None)
    assert one.capture.losses >= 1


def test_a_file_is_read_as_fast_as_it_would_be_captured(listen, tmp_path):
    (tmp_path / "loop").write_bytes(samples(RATE_HZ).tobytes())
    one = listen(file=str(tmp_path / "loop"))
    began_s = time.monotonic()
    one.until(lambda one: one.sound.size == RATE_HZ)
    assert 0.8 <= time.monotonic() - began_s <= 4.0
    one.until(lambda one: one.fault is not None)
    assert one.fault.endswith("loop: it ended")


def test_a_file_that_is_not_there_is_told_and_looked_for_again(listen, tmp_path):
    one = listen(file=str(tmp_path / "loop"))
    one.until(lambda one: one.fault is not None)
    assert "no such file" in one.fault
    (tmp_path / "loop").write_bytes(samples(4800).tobytes())
    one.until(lambda one: one.sound.size)


def test_arecord_is_asked_for_the_device_and_its_samples_are_handed_on(
    listen, tmp_path, monkeypatch
):
    program(tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/asked; exec cat /dev/zero')
    one = listen(device="plughw:CARD=Device", rate_hz=44_100)
    one.until(lambda one: one.sound.size > 1000)
    asked = (tmp_path / "asked").read_text()
    assert asked == "-q -t raw -f S16_LE -c 1 -r 44100 -F 250000 -B 1000000 -D plughw:CARD=Device\n"


def test_what_arecord_says_of_a_device_that_is_not_there_is_told(listen, tmp_path, monkeypatch):
    program(tmp_path, monkeypatch, "echo 'audio open error: No such device' >&2; exit 1")
    one = listen(device="hw:9")
    one.until(lambda one: one.fault is not None)
    assert one.fault == "hw:9: audio open error: No such device"
    one.until(lambda one: one.capture.losses >= 2)


def test_a_device_that_hangs_is_killed_told_and_opened_again(listen, tmp_path, monkeypatch):
    program(tmp_path, monkeypatch, f"echo $$ >> {tmp_path}/pids; exec sleep 1000")
    one = listen(device="hw:1")
    one.until(lambda one: one.fault is not None)
    assert one.fault == "hw:1: no samples for 3 s"
    one.until(lambda one: len((tmp_path / "pids").read_text().split()) == 2)
    first = (tmp_path / "pids").read_text().split()[0]
    assert not os.path.exists(f"/proc/{first}"), "nobody is left behind"


@pytest.mark.parametrize(
    ("said", "helps"),
    [
        ("Permission denied", ": the node's user must be in the group audio"),
        ("Device or resource busy", ": another program has it"),
        ("No such file or directory", ": `arecord -L` lists what is there"),
        ("it rains", ""),
    ],
)
def test_what_arecord_complains_of_is_told_while_it_lives_on_with_what_helps(
    listen, tmp_path, monkeypatch, said, helps
):
    program(tmp_path, monkeypatch, f"echo first >&2; echo 'audio: {said}' >&2; exec sleep 1000")
    one = listen(device="hw:1")
    began_s = time.monotonic()
    one.until(lambda one: one.fault is not None)
    assert one.fault == f"hw:1: audio: {said}{helps}"
    assert time.monotonic() - began_s < 2.8, "before it is killed for its silence"
    one.until(lambda one: one.capture.losses >= 1)
    assert one.fault == f"hw:1: audio: {said}{helps}", "and while it is opened again"


def test_a_recorder_that_complains_without_end_is_heard_and_does_not_stand_still(
    listen, tmp_path, monkeypatch
):
    text = "for i in 1 2 3 4 5 6 7 8; do head -c 60000 /dev/zero | tr '\\0' x >&2; echo >&2; done"
    program(tmp_path, monkeypatch, f"{text}; echo overrun >&2; exec cat /dev/zero")
    one = listen(device="hw:1")
    one.until(lambda one: one.sound.size > 1000)
    assert (one.capture.said, one.fault) == ("overrun", None)


def test_the_recorder_has_an_ordinary_priority_whatever_the_node_has(listen, tmp_path, monkeypatch):
    program(tmp_path, monkeypatch, f"cat /proc/$$/stat > {tmp_path}/stat; exec cat /dev/zero")
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pytest.skip("needs the right to real-time priority")
    try:
        one = listen(device="hw:1")
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    one.until(lambda one: one.sound.size)
    policy = (tmp_path / "stat").read_text().rpartition(")")[2].split()[38]
    assert int(policy) == os.SCHED_OTHER


def test_a_machine_without_arecord_is_told_what_to_install(listen, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    one = listen(device="hw:1")
    one.until(lambda one: one.fault is not None)
    assert one.fault == "no arecord: `apt install alsa-utils`"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_our_own_mistake_ends_the_capture_and_is_told(tmp_path):
    (tmp_path / "loop").write_bytes(samples(4800).tobytes())

    def fail(sound, now_ns):
        raise ValueError

    one = Capture(LoopConfig(file=str(tmp_path / "loop")), fail)
    one.start()
    end_s = time.monotonic() + 5
    while one.fault(time.monotonic_ns()) is None and time.monotonic() < end_s:
        time.sleep(0.02)
    assert one.fault(time.monotonic_ns()) == "its thread has ended: the log says why"


def test_a_capture_at_another_rate_is_told_and_not_handed_on(listen, tmp_path):
    os.mkfifo(tmp_path / "loop")
    one = listen(file=str(tmp_path / "loop"))
    with open(tmp_path / "loop", "wb", buffering=0) as fifo:
        begin_s, written = time.monotonic(), 0
        while one.fault is None and time.monotonic() < begin_s + 8:
            n = int((time.monotonic() - begin_s) * 2 * RATE_HZ) - written
            fifo.write(samples(n).tobytes())
            written += n
            time.sleep(0.02)
        assert "samples a second, and rate_hz is 48000" in one.fault
        size = one.sound.size
        fifo.write(samples(4800).tobytes())
        time.sleep(0.3)
        assert one.sound.size == size


def test_a_device_without_end_is_no_capture(listen):
    heard = listen(file="/dev/zero")
    heard.until(lambda one: one.fault)
    assert "is no FIFO and no file" in heard.fault
    assert heard.sound.size == 0
