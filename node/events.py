"""What the parts of a node tell, and ask of its shell; taken one at a time by `next_event()`."""

from dataclasses import dataclass
from typing import Final, Literal

EVENTS_MAX: Final = 256
"""Events not yet taken. Counts are asked for, never queued, so a shell that drains is safe."""


@dataclass(frozen=True, slots=True)
class SendDatagram:
    """Send `data` by UDP to `destination`: a (host, port) that was a `source`, or is configured."""

    data: bytes
    destination: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish `payload` under `topic` by MQTT."""

    topic: str
    payload: bytes
    retain: bool = False
    at_once: bool = False
    """Now or never: it is worth nothing later."""


@dataclass(frozen=True, slots=True)
class Persist:
    """Keep `value` under `key` so that it survives a power cut from now on."""

    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class SourceChanged:
    """The horn went to another source; `ssrc` is None when it fell silent."""

    ssrc: int | None
    at_ns: int


@dataclass(frozen=True, slots=True)
class AmplifierSwitched:
    """Un-mute the amplifier, or mute it."""

    on: bool
    at_ns: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something a person should read in the log, in one line."""

    text: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class FetchFile:
    """Get a sound by its URL, if it comes in time: a signed warning names it by its digest."""

    url: str
    name: str
    """Under which it is looked for in the library: `sha1:` and 40 hexadecimal digits."""
    size_bytes: int
    """What it is said to have; more is not taken."""


Word = Literal["heard", "not heard", "cannot tell", "not taken"]


@dataclass(frozen=True, slots=True)
class LoopVerdict:
    """What the loop heard of what left the node from `begin_ns` to `end_ns`.

    Or, in the card's own word, that it found no sound in time: `not taken`.
    """

    word: Word
    begin_ns: int
    end_ns: int
    margin_db: float = 0.0
    """Above what is wanted for `heard`; below 0 where it is not reached."""
    level_dbfs: float = -120.0
    """Of what was captured."""
    gain_db: float | None = None
    """Of a tone, from the node's full scale to the capture's."""
    why: str = ""
    is_tone: bool = False
    """Of a self-test; else of what the node had to say."""


Event = SendDatagram | Publish | Persist | SourceChanged | AmplifierSwitched | Note | FetchFile
