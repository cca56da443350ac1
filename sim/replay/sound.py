"""What poles played, as Opus in WebM: small enough to stand in a page, and browsers read it."""

import io
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from node.units import RATE_HZ

BIT_RATE: Final = 24_000
MEDIA_TYPE: Final = "audio/webm;codecs=opus"

_SAMPLES: Final = 960


def webm(samples: NDArray[np.float32]) -> bytes:
    """Return mono sound at 48 kHz as Opus in WebM.

    samples  (n,) float32, full scale 1.0
    """
    target = io.BytesIO()
    with av.open(target, "w", format="webm") as container:
        stream = container.add_stream("libopus", rate=RATE_HZ)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        stream.bit_rate = BIT_RATE
        whole = np.clip(samples, -1.0, 1.0).astype(np.float32)
        for at in range(0, whole.size, _SAMPLES):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(whole[None, at : at + _SAMPLES]), format="flt", layout="mono"
            )
            frame.sample_rate = RATE_HZ
            frame.pts = at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target.getvalue()
