"""What a cluster played: WAV bytes to listen to, and the picture of its loudness."""

import io
import itertools
import wave
from typing import Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from node.units import RATE_HZ
from sim.report.svg import picture, tag

FULL_SCALE: Final = 32767
BARS: Final = 180
QUIET: Final = 0.05
"""A recording whose peaks stay below this is drawn as quiet as it is."""


def wav(samples: NDArray[np.float32]) -> bytes:
    """Return a mono 16-bit WAV file at 48 kHz; the same samples give the same bytes.

    Parameters
    ----------
    samples : (n,) float32
        Full scale 1.0; what is beyond it is clipped.
    """
    whole = np.rint(np.clip(samples.astype(np.float64), -1.0, 1.0) * FULL_SCALE)
    target = io.BytesIO()
    with wave.open(target, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes(whole.astype("<i2").tobytes())
    return target.getvalue()


def waveform(samples: NDArray[np.float32], *, title: str) -> Markup:
    """Draw the peaks of a recording, so that gaps are seen before they are heard.

    samples  (n,) float32, full scale 1.0
    """
    width, height = 3.0 * BARS, 44.0
    edges = np.linspace(0, samples.size, BARS + 1).astype(np.int64)
    peaks = [
        float(np.abs(samples[a:b]).max()) if b > a else 0.0
        for a, b in itertools.pairwise(edges.tolist())
    ]
    loudest = max(*peaks, QUIET)
    bars = []
    for i, peak in enumerate(peaks):
        half = max(peak / loudest * (height / 2 - 1), 0.6)
        bars.append(f"M{3 * i + 1.5:g} {height / 2 - half:.1f}v{2 * half:.1f}")
    return picture(width, height, tag("path", d="".join(bars)), title=title, class_="wave")
