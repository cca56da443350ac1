"""What a node remembers of its calendar across a power cut, and the records that it owes.

One value under one key, written before anything sounds, so that it is either the state before or
the state after: an item that may have sounded never sounds again, and a record that was owed is
still owed. Records carry a serial number; who keeps them (`control.proof.proof`) drops repeats.
"""

from datetime import date, timedelta
from typing import Final, Literal

import msgspec

KEY: Final = "programme"

STARTED_MAX: Final = 256
"""Items remembered as started: two months of four a day. Older days are below `floor_day`."""

FAR_DAYS: Final = 100
"""A clock that was further ahead than this leaves nothing behind that counts; from nearer days each
item is remembered, and plays once whatever the clock does."""

Outcome = Literal["played", "missed", "refused", "interrupted", "stopped", "cancelled"]


class PartHeard(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part of an item as it sounded."""

    kind: str
    media: str
    """Hash of the stored file, or name of the stream."""
    language: str = ""
    at_s: int = 0
    """Civil time of its first sound, in seconds UTC; 0 when it never sounded."""
    heard_ms: int = 0
    """How long it had the horn."""
    clock: str = ""
    """Trust in the clock that made `at_s`."""


class Record(msgspec.Struct, frozen=True):
    """What became of an item (or of `count` of one name): the proof of play, or why not."""

    serial: int
    """Counted by `writer`; one is told again after a power cut with the same number."""
    name: str
    day: str
    outcome: Outcome
    reason: str = ""
    writer: str = KEY
    due_s: int = 0
    started_s: int = 0
    ended_s: int = 0
    sounded_s: int = 0
    clock: str = "trusted"
    """Trust in the clock that made the stamps."""
    issuer: str = ""
    """Who ordered it: the sender of a warning, the authority that signed a calendar."""
    signed_by: str = ""
    """Key that signed the order, as it is named in messages; empty for the node's own file."""
    volume: int = -1
    gain_db: float = 0.0
    expected_dba: float = 0.0
    concealed_ms: int = 0
    """Sound made up for what was lost, and silence where nothing could be made up."""
    languages: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    """Parts that could not be played."""
    count: int = 1
    parts: tuple[PartHeard, ...] = ()
    heard_by: str | msgspec.UnsetType = msgspec.UNSET
    """By what it is known to have sounded; who has no sink says nothing of it."""


class State(msgspec.Struct):
    """The remembered part of `node.control.calendar.player.Player`."""

    horizon_s: int = 0
    """Everything due until then is settled: it has a record, or is running. 0: a new node."""
    floor_day: str = ""
    """Of this day and before it, nothing is started any more: memory does not reach there."""
    started: list[tuple[str, str]] = msgspec.field(default_factory=list)
    """(day, name) of what was started, the latest days."""
    running: list[tuple[str, str, int, int]] = msgspec.field(default_factory=list)
    """(day, name, due_s, started_s) without an end yet."""
    used_s: dict[str, int] = msgspec.field(default_factory=dict)
    """Day to seconds of programme on it: what sounded, and all of what runs. The last days only."""
    serial: int = 0
    outbox: list[Record] = msgspec.field(default_factory=list)
    """Records of the last transition: told again after a power cut, for they may be lost."""


def encode(state: State) -> bytes:
    """Return `state` as bytes to persist under `KEY`."""
    return msgspec.json.encode(state)


def decode(data: bytes | None) -> State | None:
    """Return the state in `data`; a new one for None, None when it is damaged."""
    if data is None:
        return State()
    try:
        return msgspec.json.decode(data, type=State)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def remember_start(state: State, day: str, name: str) -> None:
    """Add (day, name) to what was started; forget the oldest and raise the floor to it.

    What a clock far ahead has left behind goes first: else it would push out today for good.
    """
    state.started.append((day, name))
    if len(state.started) <= STARTED_MAX:
        return
    ahead = [one for one in state.started if one[0] > _after(day, FAR_DAYS)]
    gone = max(ahead) if ahead else min(state.started)
    state.started.remove(gone)
    if not ahead:
        state.floor_day = max(state.floor_day, gone[0])


def clock_went_back(state: State, today: str) -> None:
    """Take the floor back with the clock when one far ahead has lifted it."""
    if state.floor_day > _after(today, FAR_DAYS):
        state.floor_day = _after(today, -1)


def remember_use(state: State, day: str, seconds: int) -> None:
    """Count `seconds` of programme on `day`, or give some back; keep the last days only."""
    state.used_s[day] = max(state.used_s.get(day, 0) + seconds, 0)
    while len(state.used_s) > 32:
        ahead = [one for one in state.used_s if one > _after(day, FAR_DAYS)]
        del state.used_s[max(ahead) if ahead else min(state.used_s)]


def _after(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
