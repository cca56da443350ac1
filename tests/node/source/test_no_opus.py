"""What comes under a payload type of Opus and is something else is never heard, and is named."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.rtp import packet
from tests.node.source import other_codecs as others
from tests.node.source.test_senders_that_cannot_count import HOST, SSRC, run

SECONDS = 3
MODES = ["synchronised", "adaptive"]
seeds = st.integers(0, 2**32 - 1)


def stream(payloads, *, packet_ms, clock_khz):
    return [
        (
            40 + i * packet_ms,
            packet.build(
                payload,
                sequence=i,
                timestamp=round(i * packet_ms * clock_khz),
                ssrc=SSRC,
                payload_type=96,
                marker=False,
            ),
            (HOST, 5004),
        )
        for i, payload in enumerate(payloads)
    ]


def assert_silent_and_told(arrivals, cause, *, mode="synchronised"):
    heard, _, notes = run(arrivals, SECONDS + 1, mode=mode)
    assert heard == []
    assert len(notes) == 1 and "is not Opus" in notes[0] and cause in notes[0]


def thinned(arrivals, share, rng):
    return [one for one in arrivals if rng.random() >= share]


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from([50, 100, 200, 300, 350, 400, 450, 500, 800, 1000, 1200, 1400, 1600, 2100]),
    st.sampled_from([0.9, 0.5, 0.25, 0.1, 0.03]),
    st.floats(0, 6.28),
    st.sampled_from([5, 10, 20, 30, 40, 60]),
    st.sampled_from(["A", "mu"]),
    st.sampled_from([8, 48]),
    st.sampled_from(MODES),
)
@example(400, 0.9, 0, 20, "mu", 48, "synchronised")
def test_a_test_tone_of_a_telephone_is_no_opus(hz, level, phase, packet_ms, law, clock_khz, mode):
    """Its packets repeat, so that one whose first byte says its duration would never contradict."""
    payloads = others.tone(hz, level, phase, packet_ms, law, seconds=SECONDS)
    arrivals = stream(payloads, packet_ms=packet_ms, clock_khz=clock_khz)
    assert_silent_and_told(arrivals, "", mode=mode)


def test_all_first_bytes_of_a_tone_are_no_opus():
    """Each phase begins with another byte: those that say the packet's duration are among them."""
    named = 0
    for phase in np.linspace(0, 6.28, 24):
        for law in ("A", "mu"):
            payloads = others.tone(500, 0.7, phase, 20, law, seconds=SECONDS)
            heard, _, notes = run(stream(payloads, packet_ms=20, clock_khz=48), SECONDS + 1)
            assert heard == [] and len(notes) == 1
            named += "PCMU, PCMA" in notes[0]
    assert named == 48


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, 15),
    st.sampled_from([(wide, i) for wide in (0, 1) for i in range(len(others.AMR_BITS[wide]))]),
    st.sampled_from([1, 2, 3, 5]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(MODES),
    st.sampled_from([0, 0.05, 0.2]),
    seeds,
)
@example(15, (1, 2), 1, True, False, "synchronised", 0, 0)
@example(15, (1, 8), 1, True, False, "adaptive", 0.2, 0)
@example(13, (1, 0), 1, True, False, "adaptive", 0, 0)
@example(1, (0, 7), 2, True, False, "synchronised", 0, 0)  # by its first byte SILK of 40 ms
@example(5, (0, 3), 2, True, True, "synchronised", 0, 0)
@example(0, (0, 7), 3, True, False, "synchronised", 0, 0)  # stamps and first byte: 10 ms
@example(13, (1, 2), 1, False, False, "adaptive", 0, 0)  # one in six has lags of GSM
def test_speech_of_mobile_telephones_is_no_opus(
    asked, form, frames, is_aligned, is_at_48_khz, mode, share, seed
):
    """AMR: the first byte asks for a mode, and by it this may be Opus of 10 or of 40 ms."""
    wide, kind = form
    rng = np.random.default_rng(seed)
    payloads = others.amr(
        rng, mode=kind, asks_for=asked, frames=frames, is_wide=wide, is_aligned=is_aligned,
        packets=SECONDS * 50 // frames,
    )  # fmt: skip
    clock_khz = 48 if is_at_48_khz else (8, 16)[wide]
    arrivals = stream(payloads, packet_ms=20 * frames, clock_khz=clock_khz)
    assert_silent_and_told(thinned(arrivals, share, rng), "AMR", mode=mode)


@settings(max_examples=60, deadline=None)
@given(st.integers(0xD0, 0xDF), st.integers(1, 3), st.sampled_from([8, 48]), seeds)
@example(0xD8, 1, 48, 0)
@example(0xD0, 3, 8, 0)
@example(0xD1, 1, 48, 2)  # one packet in eight has the table of AMR-WB
@example(0xD1, 1, 48, 485)  # and of these so many that nothing was a run: it was heard
def test_gsm_is_no_opus(first, frames, clock_khz, seed):
    rng = np.random.default_rng(seed)
    payloads = others.gsm(rng, first=first, frames=frames, packets=SECONDS * 50 // frames)
    arrivals = stream(payloads, packet_ms=20 * frames, clock_khz=clock_khz)
    assert_silent_and_told(arrivals, "GSM")


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([0x08, 0x48, 0x78, 0xE8, 0xF0, 0xF8, 0xFC]),
    st.lists(st.integers(12, 260), min_size=2, max_size=8).filter(lambda sizes: sum(sizes) < 1300),
    st.booleans(),
    st.sampled_from([0, 0.1, 0.3]),
    seeds,
)
@example(0xF8, [60, 60], True, 0, 0)
@example(0xFC, [100, 100, 60, 60], False, 0, 0)
@example(0xF8, [80], False, 0, 0)
def test_multichannel_opus_is_not_heard_as_noise(head, sizes, ends_alone, share, seed):
    if len(sizes) == 1:
        ends_alone = False
    rng = np.random.default_rng(seed)
    packet_ms = {0x08: 20, 0xE8: 5, 0xF0: 10}.get(head, 20)
    payloads = others.multichannel(
        rng, head=head, sizes=sizes, packets=SECONDS * 1000 // packet_ms, ends_alone=ends_alone
    )
    arrivals = thinned(stream(payloads, packet_ms=packet_ms, clock_khz=48), share, rng)
    assert_silent_and_told(arrivals, "mono or stereo")


SOUNDS = {
    "silence": lambda t, rng: np.zeros(t.size),
    "tone": lambda t, rng: 0.5 * np.sin(2 * np.pi * float(rng.choice([100, 400, 440, 1000])) * t),
    "noise": lambda t, rng: rng.normal(0, 0.1, t.size),
    "silence, then noise": lambda t, rng: (t > 1) * rng.normal(0, 0.1, t.size),
}


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(sorted(SOUNDS)),
    st.sampled_from([(mode, ms) for mode in (1000, 1002) for ms in (10, 20, 40, 60)] + [(1002, 5)]),
    st.sampled_from([8000, 12_000, 13_200, 16_000, 24_000, 64_000]),
    st.sampled_from([1, 2]),
    st.booleans(),
    st.sampled_from([48, 48, 16]),
    seeds,
)
@example("silence", (1002, 10), 12_000, 1, False, 48, 0)  # 15 bytes that read as AMR of bits
@example("silence", (1000, 20), 16_000, 1, False, 48, 0)  # padding that reads as self-delimited
@example("noise", (1000, 10), 13_200, 1, False, 16, 0)
def test_all_of_opus_is_heard_from_its_first_packet_on(
    sound, form, bitrate, channels, vbr, clock_khz, seed
):
    """At 48 kHz all of it; of stamps at another rate from 0.62 s and two packets on.

    A direct voltage is left out, which nobody hears: two in a hundred of such packets, all alike,
    read as something else, and prove nothing until they change.
    """
    mode, packet_ms = form
    rng = np.random.default_rng(seed)
    wave = SOUNDS[sound](np.arange(SECONDS * 48_000) / 48_000, rng)
    payloads = others.opus(
        wave, packet_ms=packet_ms, channels=channels, mode=mode, bitrate=bitrate, vbr=vbr
    )
    heard, _, notes = run(
        stream(payloads, packet_ms=packet_ms, clock_khz=clock_khz), SECONDS + 1, delay_ms=400
    )
    assert notes == []
    if clock_khz == 48:
        assert len(heard) == len(payloads) and heard[0] == pytest.approx(440, abs=1)
    else:
        assert heard and heard[0] <= 40 + 620 + 2 * packet_ms + 20


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([(0xF0, 10, 60), (0xB0, 10, 30), (0xE8, 5, 30), (0x08, 20, 60)]), seeds)
@example((0xF0, 10, 60), 0)
def test_what_comes_at_less_than_half_the_pace_of_its_stamps_is_no_opus(form, seed):
    """Another codec whose clock and first byte agree by chance, in packets of some frames."""
    head, says_ms, packet_ms = form
    rng = np.random.default_rng(seed)
    payloads = [bytes([head]) + rng.bytes(60) for _ in range(SECONDS * 1000 // packet_ms)]
    slow = stream(payloads, packet_ms=says_ms, clock_khz=48)
    arrivals = [(40 + i * packet_ms, data, source) for i, (_, data, source) in enumerate(slow)]
    assert_silent_and_told(arrivals, "another codec")
