"""The sound card through PortAudio; the library is looked for only when a card is opened."""

import os
import threading
from types import ModuleType
from typing import Any, Final

import numpy as np

from node.clock.card_line import CardLine
from node.shell.card.sinks import Render, within
from node.shell.clocks import now_ns
from node.shell.config import SinkConfig
from node.shell.faults import ShellError
from node.units import NS_PER_S, SAMPLES_PER_MS

_REAL_TIME: Final = (os.SCHED_FIFO, os.SCHED_RR)
_NO_LIBRARY: Final = "no PortAudio: `apt install libportaudio2`, or --sink null|wav:FILE"
_NO_MODULE: Final = "no sounddevice: `pip install loalang[audio]`, or --sink null|wav:FILE"
_NO_CARD: Final = (
    "no sound card: `aplay -l` lists what the system sees; plug one in or enable its overlay in "
    "/boot/firmware/config.txt, or --sink null|wav:FILE"
)
_OPEN_S: Final = 10.0
"""A sound server that starts by itself (PulseAudio, PipeWire) takes a second or two."""
_START_S: Final = 3.0
_CLOSE_S: Final = 1.5
"""PortAudio stops a living card within its latency; behind a dead server it never returns."""


class SoundCard:
    """One output stream; its callback asks for sound and says when that leaves the converter.

    Parameters
    ----------
    config : SinkConfig
        Device, rate, period and latency.
    channels : int
        Of the sound.
    again : bool
        PortAudio looks for cards anew; else it knows those of its own start only.

    Raises
    ------
    ShellError
        If PortAudio, the card or the wanted format is missing; says what to do.
    """

    def __init__(self, config: SinkConfig, *, channels: int, again: bool = False) -> None:
        self._render: Render | None = None
        self._line = CardLine()
        self._fault: ShellError | None = None
        self._thread: int | None = None
        self._stopping = False
        self.underruns = self.missed_samples = 0
        """Periods that the card had to play without us."""
        self.name = config.device or "default"
        if not within(_OPEN_S, lambda: self._open(config, channels, again), name="open"):
            raise self._hangs("open", _OPEN_S)

    def _open(self, config: SinkConfig, channels: int, again: bool) -> None:
        self._library: Any = load_portaudio()
        if again:
            self._library._terminate()  # the module has no public words for it
            self._library._initialize()
        self.name, device = _find(self._library, config.device, channels)
        try:
            self._stream = self._library.OutputStream(
                samplerate=config.rate_hz,
                device=device,
                channels=channels,
                dtype="float32",
                blocksize=config.period_ms * SAMPLES_PER_MS,
                latency=config.latency_ms / 1000,
                callback=self._callback,
                finished_callback=self._finished,
            )
        except self._library.PortAudioError as fault:
            raise ShellError(
                f"sound card {self.name!r}: {_first_line(fault)}; is another program using it? "
                f"Does it play {config.rate_hz} Hz with {channels} channel(s)?"
            ) from fault

    @property
    def jumps(self) -> int:
        """How often the card's time stamps jumped."""
        return self._line.jumps

    @property
    def card_skew_ppm(self) -> float:
        """The card's crystal against the node's clock, positive is fast, by its time stamps."""
        return self._line.skew_ppm

    @property
    def real_time(self) -> bool:
        """Whether the thread that feeds the card goes before others, which else can stop it."""
        if self._thread is None:
            return False
        try:
            policy = os.sched_getscheduler(self._thread)
        except OSError:  # it has just ended
            return False
        return policy & ~os.SCHED_RESET_ON_FORK in _REAL_TIME

    def start(self, render: Render) -> None:
        """Begin to ask for sound, on PortAudio's thread."""
        self._render = render
        try:
            started = within(_START_S, self._stream.start, name="start")
        except self._library.PortAudioError as fault:
            raise ShellError(f"sound card {self.name!r}: {_first_line(fault)}") from fault
        if not started:
            raise self._hangs("start", _START_S)

    def fault(self) -> ShellError | None:
        """Return what stopped the sound (the card was unplugged), or None while it runs."""
        return self._fault

    def close(self) -> None:
        """Stop the stream; raise `ShellError` when the library does not return."""
        self._stopping = True
        if not within(_CLOSE_S, lambda: self._stream.close(ignore_errors=True), name="close"):
            raise self._hangs("close", _CLOSE_S)

    def _hangs(self, what: str, limit_s: float) -> ShellError:
        return ShellError(
            f"sound card {self.name!r} did not {what} in {limit_s:g} s: is its sound server gone?",
            hangs=True,
        )

    def _callback(
        self, out: "np.typing.NDArray[np.float32]", samples: int, when: Any, status: Any
    ) -> None:
        if self._thread is None:
            self._thread = threading.get_native_id()
        if status.output_underflow:
            self.underruns += 1
            self.missed_samples += samples  # PortAudio says not how many: at least one buffer
        # PortAudio's clock differs per host API; only its differences are used. `stream.latency`
        # is a promise, these stamps are what happens.
        ahead_ns = int((when.outputBufferDacTime - when.currentTime) * NS_PER_S)
        leaves_ns = self._line.presentation_ns(now_ns() + ahead_ns, samples)
        if self._render is None:
            out.fill(0.0)
        else:
            self._render(out, leaves_ns)

    def _finished(self) -> None:
        if not self._stopping:
            self._fault = ShellError(f"sound card {self.name!r} stopped: was it unplugged?")


def load_portaudio() -> ModuleType:
    """Return the module sounddevice.

    Raises
    ------
    ShellError
        If it or the library under it is not installed.
    """
    try:
        import sounddevice
    except ImportError as fault:
        raise ShellError(_NO_MODULE) from fault
    except OSError as fault:  # raised at import when the shared library is missing
        raise ShellError(_NO_LIBRARY) from fault
    module: ModuleType = sounddevice
    return module


def list_cards() -> list[str]:
    """Return the names of all cards that can play, as `device` in `[sink]` matches them.

    Raises
    ------
    ShellError
        If PortAudio is missing.
    """
    library: Any = load_portaudio()
    return [name for name, _, _ in _outputs(library)]


def _outputs(library: Any) -> list[tuple[str, int, int]]:
    """Return name, index and channels of each output."""
    return [
        (
            f"{device['name']} ({library.query_hostapis(device['hostapi'])['name']})",
            index,
            int(device["max_output_channels"]),
        )
        for index, device in enumerate(library.query_devices())
        if device["max_output_channels"] > 0
    ]


def _find(library: Any, wanted: str | None, channels: int) -> tuple[str, int]:
    cards = _outputs(library)
    if not cards:
        raise ShellError(_NO_CARD)
    if wanted is None:
        default = library.default.device[1]
        return next(((n, i) for n, i, _ in cards if i == default), cards[0][:2])
    able = [(n, i) for n, i, c in cards if c >= channels]
    fits = [one for one in able if wanted.lower() in one[0].lower()]
    if not fits:
        names = "; ".join(n for n, _, _ in cards)
        raise ShellError(
            f"sink.device = {wanted!r}: no card of that name with {channels} channel(s); "
            f"there are: {names}"
        )  # no fault of the file: a card that was unplugged, or is slow to start, comes back
    # ALSA offers a `jack` of its own where its plugins are installed: who writes JACK means JACK.
    return min(fits, key=lambda one: (one[0] != wanted, wanted not in one[0]))


def _first_line(fault: Exception) -> str:
    return str(fault).strip().splitlines()[0] if str(fault).strip() else type(fault).__name__
