"""What the header of a stored sound says is done, or the file is refused; damage is refused."""

import io

import av
import numpy as np
import pytest

from node.shell.sounds.library import packets_of, recording_of
from tests.ogg import resealed


def opus_file(layout="mono", **options):
    out = io.BytesIO()
    with av.open(out, "w", format="ogg") as target:
        stream = target.add_stream("libopus", rate=48_000, layout=layout, options=options)
        channels = stream.codec_context.layout.nb_channels
        for i in range(25):
            tone = 0.3 * np.sin(0.06 * (np.arange(960) + 960 * i))
            sound = np.repeat(tone, channels).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(sound, format="flt", layout=layout)
            frame.sample_rate = 48_000
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.parametrize("gain_db", [0.0, -6.0, 12.5])
def test_the_output_gain_of_a_header_is_given(gain_db):
    data = opus_file()
    at = data.index(b"OpusHead") + 16
    told = round(gain_db * 256).to_bytes(2, "little", signed=True)
    recording = recording_of(resealed(data[:at] + told + data[at + 2 :]))
    assert recording is not None
    assert 20 * np.log10(recording.gain) == pytest.approx(gain_db, abs=0.01)


@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_one_stream_of_one_or_two_channels_is_taken(layout):
    assert packets_of(opus_file(layout)) is not None


def test_several_streams_are_refused():
    assert packets_of(opus_file("5.1", mapping_family="1")) is None
    assert packets_of(opus_file("stereo", mapping_family="255")) is None
    assert packets_of(opus_file() + opus_file()) is None


def test_each_damaged_byte_is_found():
    data = opus_file()
    for at in range(0, len(data), 37):
        damaged = bytearray(data)
        damaged[at] ^= 0x40
        assert recording_of(bytes(damaged)) is None, at
