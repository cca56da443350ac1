"""Senders that nobody here wrote, over loopback, into the daemon as a user starts it."""

import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import correlate

from .conftest import SPEECH, need, process, read_wav

RIM = 240  # samples looked at on each side of the programme: 5 ms
MADE_UP = 48 * (120 + 80 + 10)
"""A sender that says no goodbye may be followed by concealment and fade, rounded to a period."""
FADED = 48 * (80 + 10)
"""After a goodbye the last sound fades: a programme cut off in a word must not click."""


def found(played: NDArray[np.float64], programme: NDArray[np.float64]) -> tuple[int, float]:
    """Return where `programme` begins in `played`, and the correlation there."""
    score = correlate(played, programme, method="fft")
    begin = int(np.argmax(np.abs(score))) - programme.size + 1
    assert begin >= 0, "the programme was cut off at the start"
    part = played[begin : begin + programme.size]
    assert part.size == programme.size, "the programme was cut off at the end"
    return begin, float(part @ programme / np.linalg.norm(part) / np.linalg.norm(programme))


def assert_heard(played: NDArray[np.float64], programme: NDArray[np.float64], *, tail: int) -> None:
    """Assert that `programme`, and nothing else but `tail` samples after it, was played."""
    begin, correlation = found(played, programme)
    assert correlation >= 0.9
    end = begin + programme.size
    # Idle means mute, and a resampler's filter is shorter than the rim.
    assert not played[: max(0, begin - RIM)].any()
    assert not played[end + tail :].any()
    # No click: no step at either rim, or anywhere, that the programme does not have itself.
    steepest = np.max(np.abs(np.diff(programme)))
    assert np.max(np.abs(np.diff(played))) <= 1.1 * steepest + 0.001
    for edge, own in ((begin, programme[:RIM]), (end, programme[-2 * RIM :])):
        steepest_here = np.max(np.abs(np.diff(own)))
        assert np.max(np.abs(np.diff(played[edge - RIM : edge + RIM]))) <= steepest_here + 0.005


def test_a_programme_from_gstreamer_is_played_whole_and_without_clicks(start_node, tap, speech_wav):
    gst = need("gst-launch-1.0", "gstreamer1.0-tools gstreamer1.0-plugins-good")
    node = start_node()
    between = tap(node.port)
    pipeline = (
        f"filesrc location={speech_wav} ! wavparse ! audioconvert ! audioresample ! opusenc ! "
        f"rtpopuspay ! udpsink host=127.0.0.1 port={between.port}"
    )
    subprocess.run([gst, "-q", *pipeline.split()], check=True, timeout=60)
    between.wait_for_silence()
    status = node.stop()

    assert_heard(read_wav(node.wav), between.decoded(), tail=MADE_UP)
    assert status["counts"]["packets_accepted"] == len(between.datagrams)


def test_a_programme_from_ffmpegs_rtp_muxer_is_played_whole_and_without_clicks(
    start_node, tap, speech_wav
):
    node = start_node()
    between = tap(node.port)
    _send_by_ffmpeg(speech_wav, between.port)
    between.wait_for_silence()
    node.stop()

    assert_heard(read_wav(node.wav), between.decoded(), tail=MADE_UP)


@pytest.mark.parametrize("packet_ms", [10, 20, 60])
def test_a_programme_from_our_own_sender_is_played_whole_and_without_clicks(
    start_node, tap, speech_wav, packet_ms
):
    node = start_node()
    between = tap(node.port)
    sender = process(
        "sim.sender.cli", str(speech_wav), "--to", f"127.0.0.1:{between.port}",
        "--packet-ms", str(packet_ms), "--lead", "1",
    )  # fmt: skip
    _, err = sender.communicate(timeout=60)
    assert sender.returncode == 0, err
    between.wait_for_silence()
    node.stop()

    assert_heard(read_wav(node.wav), between.decoded(), tail=FADED)


def test_a_file_given_as_live_is_refused_and_not_poured_into_the_network():
    sender = process("sim.sender.cli", str(SPEECH), "--to", "127.0.0.1:9", "--live")
    _, err = sender.communicate(timeout=60)
    assert sender.returncode == 2
    assert "sent 0 packets" in err
    assert "--live is not for files" in err


def _send_by_ffmpeg(wav: Path, port: int) -> None:
    """Encode and send with FFmpeg's own RTP muxer, at its real pace."""
    import time

    url = f"rtp://127.0.0.1:{port}?pkt_size=1300"
    with av.open(str(wav)) as source, av.open(url, "w", format="rtp") as target:
        stream = target.add_stream("libopus", rate=48_000, layout="mono")
        resampler = av.AudioResampler(format="flt", layout="mono", rate=48_000, frame_size=960)
        begin, sent = time.monotonic(), 0
        for decoded in [*source.decode(audio=0), None]:
            for frame in resampler.resample(decoded):
                for packet in stream.encode(frame):
                    time.sleep(max(0.0, begin + sent * 0.02 - time.monotonic()))
                    target.mux(packet)
                    sent += 1
        for packet in stream.encode(None):
            target.mux(packet)


def test_the_bundled_speech_is_there():
    assert SPEECH.is_file()
