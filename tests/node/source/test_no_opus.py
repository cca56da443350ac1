"""What comes under a payload type of Opus and is something else is never heard."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.rtp import packet
from tests.node.source.test_senders_that_cannot_count import HOST, SSRC, run

SECONDS = 4
AMR_BYTES = {8: (12, 13, 15, 17, 19, 20, 26, 31), 16: (17, 23, 32, 36, 40, 46, 50, 58, 60)}
"""Of the frame types, by the clock of the stamps in kHz (RFC 4867, 3.6)."""


def stream(payloads, *, packet_ms, clock_khz):
    return [
        (
            40 + i * packet_ms,
            packet.build(
                payload,
                sequence=i,
                timestamp=i * packet_ms * clock_khz,
                ssrc=SSRC,
                payload_type=96,
                marker=False,
            ),
            (HOST, 5004),
        )
        for i, payload in enumerate(payloads)
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 15),
    st.sampled_from([(khz, i) for khz, sizes in AMR_BYTES.items() for i in range(len(sizes))]),
    st.sampled_from(["synchronised", "adaptive"]),
    st.sampled_from([0, 0.05, 0.2]),
    st.integers(0, 2**32 - 1),
)
@example(15, (16, 2), "synchronised", 0, 0)
@example(15, (16, 8), "adaptive", 0.2, 0)
@example(13, (16, 0), "adaptive", 0, 0)
def test_speech_of_telephones_is_never_taken_for_opus(asked, form, mode, share, seed):
    """AMR, octet-aligned: the first byte asks for a mode, and by it this is Opus of 10 ms."""
    khz, kind = form
    rng = np.random.default_rng(seed)
    head = bytes([asked << 4, kind << 3 | 4])
    payloads = [head + rng.bytes(AMR_BYTES[khz][kind]) for _ in range(SECONDS * 50)]
    arrivals = stream(payloads, packet_ms=20, clock_khz=khz)
    arrivals = [one for one in arrivals if rng.random() >= share]
    heard, _, _ = run(arrivals, SECONDS + 1, mode=mode)
    assert heard == []
