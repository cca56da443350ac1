"""The loop that listens to the horn: what is wired, its tones, and when they may sound."""

from dataclasses import dataclass
from datetime import time
from typing import Final, Literal

from node.config import check
from node.control.civil_time import parse_time
from node.control.proof.self_tests import SelfTestRules
from node.hearing.tone import Tone

RATES_HZ: Final = (44_100, 48_000)

_NYQUIST_SHARE: Final = 0.46
"""Of the rate of a capture: above it the converter's filter has begun."""

HOURS_MAX: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """What listens to the horn, or to the current in its line (table `[loop]`); without `device`
    or `file` nothing does, and what the card took is acoustically unverified.
    """

    kind: Literal["microphone", "current"] = "microphone"
    """`microphone`: before the horn; `current`: a clamp about its line. Proofs say so."""

    device: str | None = None
    """Capture device as `arecord -L` prints it, such as plughw:CARD=Device."""

    file: str | None = None
    """Instead of a device a FIFO or file of samples: 16 bit, little endian, one channel."""

    rate_hz: int = 48_000
    """Of the capture."""

    tone_hz: float = 1000.0
    """The tone that may be heard, for horns."""

    tone_dbfs: float = -20.0
    """Its level, after volume and limiter: it goes to the card as it is."""

    tone_s: float = 3.0
    """Length of both tones."""

    tone_hours: tuple[str, ...] = ()
    """When it may sound, by the zone of the calendar, such as 08:00-11:00; none: never."""

    silent_hz: float = 20_000.0
    """The tone that nobody hears: pilot tones of voice alarm amplifiers have 20 kHz (why.md). Few
    horns give it, so it is for a loop of current."""

    silent_dbfs: float = -40.0
    """Its level."""

    daily: str | None = None
    """Wall clock at which the node tests itself each day, such as 09:00: with the tone that may be
    heard where that is within `tone_hours`, else with the silent one. None: by order only."""

    threshold_db: float = 10.0
    """A tone is heard so much above the noise at its frequency."""

    reference_db: float | None = None
    """Gain of the tone from the node's full scale to the capture's as `doctor --tone` measured it
    when all was well. None: a horn that has become soft is not noticed, and a neighbour's that
    plays the same is taken for it."""

    silent_reference_db: float | None = None
    """The same of the silent tone. None: where a microphone does not hear that, it cannot tell."""

    tolerance_db: float = 10.0
    """A tone that is softer than its reference by more is not heard; of a programme that is softer
    than the reference by more the loop cannot tell whose it is."""

    noise_max_dbfs: float = -20.0
    """Where the capture is louder and holds nothing of what was played, it cannot tell."""

    @property
    def is_wired(self) -> bool:
        """Whether anything listens."""
        return self.device is not None or self.file is not None

    def tone(self, *, silent: bool) -> Tone:
        """Return the tone that may be heard, or the silent one."""
        return Tone(
            frequency_hz=self.silent_hz if silent else self.tone_hz,
            level_dbfs=self.silent_dbfs if silent else self.tone_dbfs,
            length_s=self.tone_s,
            threshold_db=self.threshold_db,
            reference_db=self.silent_reference_db if silent else self.reference_db,
            tolerance_db=self.tolerance_db,
            is_certain=not silent or self.kind == "current",
        )

    def rules(self, zone: str) -> SelfTestRules:
        """Return when the node may test itself, by the wall clock of `zone`."""
        return SelfTestRules(
            kind=self.kind,
            zone=zone,
            hours=tuple(one for text in self.tone_hours if (one := _span(text)) is not None),
            daily=None if self.daily is None else parse_time(self.daily),
        )

    def __post_init__(self) -> None:
        rate_hz = self.rate_hz if self.rate_hz in RATES_HZ else RATES_HZ[-1]
        highest_hz = _NYQUIST_SHARE * rate_hz
        up_to = f"200 to {highest_hz:g}, 0.46 of rate_hz"
        references = (self.reference_db, self.silent_reference_db)
        hours, daily = self.tone_hours, self.daily
        check(
            "loop",
            {
                "device": (_is_name(self.device), self.device, "a name, as arecord -L prints it"),
                "file": (
                    _is_name(self.file) and (self.device is None or self.file is None),
                    self.file,
                    "a path" if self.device is None else "left out where device is given",
                ),
                "rate_hz": (self.rate_hz in RATES_HZ, self.rate_hz, "44100 or 48000"),
                "tone_hz": (200 <= self.tone_hz <= highest_hz, self.tone_hz, up_to),
                "tone_dbfs": (-60 <= self.tone_dbfs <= -6, self.tone_dbfs, "-60 to -6"),
                "tone_s": (2 <= self.tone_s <= 5, self.tone_s, "2 to 5"),
                "tone_hours": (
                    len(hours) <= HOURS_MAX and all(_span(one) is not None for one in hours),
                    hours,
                    f"up to {HOURS_MAX} like 08:00-11:00",
                ),
                "silent_hz": (200 <= self.silent_hz <= highest_hz, self.silent_hz, up_to),
                "silent_dbfs": (-80 <= self.silent_dbfs <= -12, self.silent_dbfs, "-80 to -12"),
                "daily": (daily is None or parse_time(daily) is not None, daily, "like 09:00"),
                "threshold_db": (6 <= self.threshold_db <= 40, self.threshold_db, "6 to 40"),
                "reference_db": (
                    all(one is None or -100 <= one <= 60 for one in references),
                    references,
                    "-100 to 60, as silent_reference_db",
                ),
                "tolerance_db": (3 <= self.tolerance_db <= 40, self.tolerance_db, "3 to 40"),
                "noise_max_dbfs": (
                    -80 <= self.noise_max_dbfs <= 0,
                    self.noise_max_dbfs,
                    "-80 to 0",
                ),
            },
        )


def _is_name(text: str | None) -> bool:
    return text is None or (text != "" and text.isprintable())


def _span(text: str) -> tuple[time, time] | None:
    """Return begin and end of `hh:mm-hh:mm`, or None."""
    begin, _, end = text.partition("-")
    times = parse_time(begin), parse_time(end)
    return None if times[0] is None or times[1] is None else (times[0], times[1])
