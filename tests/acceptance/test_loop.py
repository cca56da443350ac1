"""A microphone before the horn, end to end: what it heard is in the proof, and a cut cable is told.

The node plays into a file; what it wrote goes back into the FIFO of its loop, softer, later and
with noise. Whoever cuts the cable leaves the noise.
"""

import contextlib
import hashlib
import io
import json
import os
import threading
import time

import av
import numpy as np
import pytest

from node.hearing.ear import CUT_OFF
from node.shell.cli import main
from tests.acceptance.conftest import SPEECH, free_port, read_wav
from tests.acceptance.test_orders_over_broker import Office
from tests.node.shell.broker.test_broker import broker  # noqa: F401  # a fixture

RATE_HZ = 48_000
HEADER_BYTES = 44
pytestmark = pytest.mark.real_time


def ogg_speech() -> bytes:
    """The announcement that ships, 18.8 s, as Ogg Opus by FFmpeg."""
    target = io.BytesIO()
    with av.open(str(SPEECH)) as source, av.open(target, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE_HZ, options={"frame_duration": "20"})
        stream.layout = "mono"
        resampler = av.AudioResampler("s16", "mono", RATE_HZ)
        for frame in source.decode(audio=0):
            for one in resampler.resample(frame):
                container.mux(stream.encode(one))
        container.mux(stream.encode(None))
    return target.getvalue()


class Air:
    """From the file that the node plays into to the FIFO that its loop reads."""

    def __init__(self, wav, fifo, *, gain_db=-20.0, noise_dbfs=-50.0):
        os.mkfifo(fifo)
        self._fifo = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        self._wav = wav.with_name(wav.name + ".partial")
        self._gain = 10 ** (gain_db / 20)
        self._noise = 10 ** (noise_dbfs / 20)
        self._rng = np.random.default_rng(1)
        self.is_cut = self.is_blocked = self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._ended = True
        self._thread.join()
        os.close(self._fifo)

    def _run(self):
        begin_s, told, at = time.monotonic(), 0, HEADER_BYTES
        waiting = np.zeros(0, np.float64)
        while not self._ended:
            time.sleep(0.02)
            if self._wav.exists():
                with self._wav.open("rb") as file:
                    file.seek(at)
                    data = file.read()
                data = data[: len(data) & ~1]
                at += len(data)
                new = np.frombuffer(data, "<i2") / 32768.0
                if not waiting.size:  # what was silent is late in the file: it is made here
                    loud = np.flatnonzero(new)
                    new = new[loud[0] :] if loud.size else new[:0]
                    new = np.concatenate((np.zeros(4800 * bool(new.size)), new))
                waiting = np.concatenate((waiting, new))
            n = int((time.monotonic() - begin_s) * RATE_HZ) - told
            told += n
            sound, waiting = waiting[:n], waiting[n:]
            heard = self._noise * self._rng.standard_normal(n)
            if not self.is_cut:
                heard[: sound.size] += self._gain * sound
            if not self.is_blocked:
                samples = np.clip(np.rint(heard * 32768), -32768, 32767)
                with contextlib.suppress(BlockingIOError):  # nobody listens any more
                    os.write(self._fifo, samples.astype("<i2").tobytes())


def say(office, sound):
    """Let the office's pole warn with 18 s of another sound."""
    digest = hashlib.sha256(sound).hexdigest()
    (office.folder / f"{digest}.opus").write_bytes(sound)
    path = office.folder / "node.toml"
    text = path.read_text()
    old = text.partition('siren = "')[2].partition('"')[0]
    path.write_text(text.replace(old, digest).replace("siren_s = 1", "siren_s = 18"))


@pytest.fixture
def pole(tmp_path, broker, capsys):  # noqa: F811  # the fixture above
    """An office, and a pole with a loop that is about to be started."""
    office = Office(tmp_path, broker, capsys)
    say(office, ogg_speech())
    with (tmp_path / "node.toml").open("a") as file:
        file.write(f'[loop]\nfile = "{tmp_path}/loop"\ntone_hours = ["00:00-00:00"]\n')
    air = Air(tmp_path / "out.wav", tmp_path / "loop")
    office.start()
    office.certify()
    yield office, air
    air.close()
    office.node.kill()
    office.node.communicate()


def records(office):
    main(["proof", "--config", str(office.folder / "node.toml")])
    lines = office.capsys.readouterr().out.splitlines()
    return [json.loads(line)["record"] for line in lines if line.startswith("{")]


def warn(office):
    status, told = office.publish(office.sign("alert", "--event", "FFW"))
    assert status == 0, told


def test_a_warning_that_the_microphone_hears_is_proven_by_it(pole):
    office, _ = pole
    warn(office)
    time.sleep(22)
    office.stop()
    [record] = records(office)
    assert record["outcome"] == "played"
    assert record["heard_by"].startswith("microphone, heard at "), record
    assert not [line for line in office.lines if "loop hears nothing" in line]


def test_a_cut_cable_is_told_within_10_s_and_the_warning_was_not_played(pole):
    office, air = pole
    air.is_cut = True
    warn(office)
    began_s = time.monotonic()
    office.wait_for("loop hears nothing")
    assert time.monotonic() - began_s <= 10
    time.sleep(20)
    last = office.stop()
    assert last["shell"]["state"] == "degraded"
    [record] = records(office)
    assert record["outcome"] == "missed"
    assert record["reason"] == "the microphone heard nothing of it"
    assert record["heard_by"].startswith("file; the microphone heard nothing of it"), record


def test_a_cable_that_is_cut_in_the_middle_is_told_within_10_s_and_mended_by_what_is_heard(pole):
    office, air = pole
    warn(office)
    time.sleep(6)
    air.is_cut = True
    began_s = time.monotonic()
    office.wait_for("loop hears nothing")
    assert time.monotonic() - began_s <= 10
    air.is_cut = False
    office.wait_for("loop hears nothing: good again")


def test_a_capture_that_stands_still_is_told_and_the_warning_sounds_unverified(pole):
    office, air = pole
    air.is_blocked = True
    office.wait_for("loop capture: ")
    warn(office)
    time.sleep(21)
    office.stop()
    [record] = records(office)
    assert (record["outcome"], record["heard_by"]) == ("played", "file")
    assert len(office.bursts()) >= 1


@pytest.mark.parametrize("how", ["audible", "silent"])
def test_a_test_by_order_is_heard_and_on_record(pole, how):
    office, _ = pole
    status, told = office.publish(office.sign("self-test", how))
    assert status == 0, told
    office.wait_for("self-test: microphone, ")
    office.stop()
    [record] = records(office)
    assert (record["name"], record["outcome"]) == ("self-test", "played"), record
    assert "tone heard, margin " in record["heard_by"]


def test_a_mute_ends_the_tone_at_once_and_holds_for_doctor_too(pole):
    office, _ = pole
    config = str(office.folder / "node.toml")
    mute = office.sign("mute").rename(office.folder / "mute.bin")
    status, told = office.publish(office.sign("self-test", "audible"))
    assert status == 0, told
    partial, begun_s = office.wav.with_name("out.wav.partial"), 0.0
    end_s = time.monotonic() + 10
    while not begun_s:  # the tone is in the file
        assert time.monotonic() < end_s
        time.sleep(0.05)
        begun_s = time.monotonic() if any(partial.read_bytes()[HEADER_BYTES:]) else 0.0
    status, told = office.publish(mute)
    muted_s = time.monotonic() - begun_s
    assert status == 0, told
    office.wait_for("self-test: microphone, cannot tell")
    office.stop()
    [record] = records(office)
    assert (record["outcome"], CUT_OFF in record["reason"]) == ("missed", True), record
    sounded_s = np.count_nonzero(np.abs(read_wav(office.wav)) > 1e-4) / RATE_HZ
    assert sounded_s <= min(muted_s + 0.3, 2.8), "of 3 s"
    main(["doctor", "--config", config, "--tone", "silent", "--offline", "--json"])
    found = json.loads(office.capsys.readouterr().out)
    [one] = [one for one in found if one["part"] == "tone"]
    assert one["text"].endswith("has muted the node"), one


def trial(folder, capsys, *more):
    """What `doctor --tone` finds with the loop of `folder`, which plays into a file."""
    path = folder / "node.toml"
    path.write_text(
        f'name = "pole-1"\n[receive]\nlisten = "127.0.0.1:{free_port()}"\n[control]\n'
        f'root_public_key = "{"ab" * 32}"\narea = "vn/a"\nrules = []\n'
        f'[loop]\nfile = "{folder}/loop"\ntone_hours = ["00:00-00:00"]\n' + "\n".join(more)
    )
    options = ("--tone", "audible", "--sink", f"wav:{folder}/out.wav", "--offline", "--json")
    main(["doctor", "--config", str(path), *options])
    found = json.loads(capsys.readouterr().out)
    return next(one for one in found if one["part"] == "tone")


@pytest.mark.parametrize(("cut", "word"), [(False, "heard"), (True, "not heard")])
def test_doctor_plays_the_tone_where_no_node_runs(tmp_path, capsys, cut, word):
    air = Air(tmp_path / "out.wav", tmp_path / "loop")
    air.is_cut = cut
    try:
        one = trial(tmp_path, capsys)
    finally:
        air.close()
    assert one["grade"] == ("fault" if cut else "good"), one
    assert one["text"].startswith(f"{word}, margin ")
    assert ("is the amplifier on" in one["remedy"]) is cut
    assert ("loop.reference_db" in one["text"]) is not cut


def test_doctor_plays_no_tone_outside_the_hours_nor_beside_a_running_node(tmp_path, capsys, pole):
    (tmp_path / "quiet").mkdir()
    one = trial(tmp_path / "quiet", capsys, 'kind = "current"', "noise_max_dbfs = -30.0")
    assert one["grade"] == "fault", "no FIFO there"
    office, _ = pole
    main(["doctor", "--config", str(office.folder / "node.toml"), "--tone", "silent", "--json"])
    found = json.loads(capsys.readouterr().out)
    [one] = [one for one in found if one["part"] == "tone"]
    assert one["text"] == "the node runs, and has the card"
    path = office.folder / "node.toml"
    text = path.read_text().replace('tone_hours = ["00:00-00:00"]', "")
    path.write_text(text.replace("listen = ", f'listen = "127.0.0.1:{free_port()}" #'))
    main(["doctor", "--config", str(path), "--tone", "audible", "--json"])
    found = json.loads(capsys.readouterr().out)
    [one] = [one for one in found if one["part"] == "tone"]
    assert one["text"] == "outside loop.tone_hours: none"


@pytest.mark.parametrize(("cut", "told"), [(False, "played, "), (True, "missed, ")])
def test_the_sender_is_told_who_played_and_by_what_that_is_known(pole, cut, told):
    office, air = pole
    air.is_cut = cut
    config, poles = office.folder / "node.toml", office.folder / "poles.toml"
    assert main(["key", "--public", "--config", str(config)]) == 0
    poles.write_text(office.capsys.readouterr().out)
    order = office.sign("alert", "--event", "FFW")
    to = ("--broker", f"127.0.0.1:{office.broker.port}", "--village", "huu-lien")
    known = ("--node", "coc-1", "--poles", str(poles), "--proof", "40")
    status = main(["publish", str(order), *to, *known])
    lines = office.capsys.readouterr().out.splitlines()
    [line] = [one for one in lines if one.startswith(f"coc-1: {told}")]
    by = "the microphone heard nothing of it at " if cut else "(microphone, heard at "
    assert by in line
    assert lines[-1] == ("0 of 1 played" if cut else "1 of 1 played")
    assert status == (1 if cut else 0)
