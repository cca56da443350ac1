"""What the controller tells the node: what is to sound, who may speak, how loud."""

from dataclasses import dataclass

from node.control.precedence import MessageClass
from node.events import Note, Persist, Publish


@dataclass(frozen=True, slots=True)
class StartPart:
    """Play this now, as `source` of the arbiter."""

    source: int
    name: str
    day: str
    step: int
    """Number of the part, counted on through the repetitions."""
    kind: str
    media: str
    """SHA-256 of the stored file, or the name of the live stream."""
    language: str
    message_class: MessageClass
    level: str
    duration_s: int
    at_ns: int = 0
    """Monotonic time at which it was to begin; now or a little before."""
    issuer: str = ""
    """Sender of the warning that it is part of; empty for an item of a calendar."""
    writer: str = ""
    """Who records the item of a calendar: two tiers may call theirs by one name."""


@dataclass(frozen=True, slots=True)
class StartTone:
    """Let the tone of a self-test sound, if nothing else does."""

    silent: bool


@dataclass(frozen=True, slots=True)
class StopTone:
    """Let it sound no more: something else is to, or somebody has muted the node."""


@dataclass(frozen=True, slots=True)
class StopPart:
    """`source` has nothing to play any more."""

    source: int


@dataclass(frozen=True, slots=True)
class FetchMedia:
    """Get the spoken text of a warning, if there is time; its part fails otherwise."""

    uri: str
    digest_sha1: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SourceAllowed:
    """A signed session announced the live stream `source` (its SSRC)."""

    source: int
    message_class: MessageClass
    level: str


@dataclass(frozen=True, slots=True)
class SourceEnded:
    """The session of the live stream `source` is over."""

    source: int


@dataclass(frozen=True, slots=True)
class GainChanged:
    """What has the horn is to sound with `gain_db` from now on; the sound side makes the ramp."""

    gain_db: float
    at_ns: int


ControllerEvent = (
    StartPart
    | StartTone
    | StopTone
    | StopPart
    | FetchMedia
    | SourceAllowed
    | SourceEnded
    | GainChanged
    | Persist
    | Publish
    | Note
)
