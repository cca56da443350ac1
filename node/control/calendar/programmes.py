"""The calendars of all tiers, each played by a player of its own, side by side.

```
 own file ──► player        while nobody has ordered a calendar
 province ──► player ─┐
 commune ───► player ─┼─► places and minutes that they share ─► events
 hamlet ────► player ─┘
```
Each has a memory of its own, so that no tier's calendar can push out what another's has played.
"""

from collections.abc import Mapping
from typing import Final

from node.control.calendar.play_run import Run
from node.control.calendar.play_state import KEY, State, decode
from node.control.calendar.player import Player
from node.control.calendar.programme import ProgrammeConfig
from node.control.calendar.shared_day import PlayerEvent, SharedDay
from node.control.civil_time import NO_TIME, Least
from node.control.loudness.regulation import Regulation
from node.control.precedence import MessageClass
from node.control.proof.proof import ProofChain
from node.control.trust.ordered_by import OrderedBy

OWN: Final = -1
"""Level of the node's own file, and of the root's calendar, in whose place it stands."""

_InForce = tuple[ProgrammeConfig, OrderedBy | None]
InForce = Mapping[int, _InForce]
"""By the tier that ordered it."""


class Programmes:
    """Play the calendars that are in force, once each item, whatever the clock and the power do.

    Parameters
    ----------
    in_force : mapping of int to calendar and who ordered it
        At the start: what was due while the node was off is told.
    zone : str
        The node's own: hours and days are counted by it.
    tiers : tuple of str
        Names of the tiers, the highest first.
    stored : mapping of str to bytes
        What the shell kept.
    proof : ProofChain
        Which records are in it already.
    """

    def __init__(
        self,
        in_force: InForce,
        zone: str,
        regulation: Regulation,
        *,
        tiers: tuple[str, ...],
        stored: Mapping[str, bytes],
        proof: ProofChain,
    ) -> None:
        shared = self._shared = SharedDay(zone, regulation, len(tiers))
        self._nothing = ProgrammeConfig(zone=zone)
        self._in_force = dict(in_force)
        self._players: dict[int, Player] = {}
        self.is_damaged = False
        """Whether a memory could not be read: nothing from before now will play."""
        for level in range(OWN, len(tiers)):
            key = key_of(level)
            state = decode(stored.get(key))
            self.is_damaged |= state is None
            state = state or State()
            state.serial = max(state.serial, proof.serial_of(key))
            config, by = in_force.get(level, (self._nothing, None))
            if level not in in_force:
                state.horizon_s = 0
            self._players[level] = Player(
                config, regulation, state,
                key=key, level=level, tiers=tiers, shared=shared, ordered_by=by,
            )  # fmt: skip

    def follow(self, in_force: InForce, utc_s: int, now_ns: int, least: Least) -> None:
        """Play what is in force from now on; what runs and is in it unchanged goes on."""
        for level, player in self._players.items():
            before, now = self._in_force.get(level), in_force.get(level)
            if now is None and before is not None:
                by = before[1]
                why = None if by is None else by.refusal(MessageClass.NORMAL, least)
                player.sleep(why or "the calendar was replaced", utc_s, now_ns)
            elif now is not None and (before is None or not _is_same(now, before)):
                player.replace(*now, utc_s, now_ns)
        self._in_force = dict(in_force)

    def handle_time(
        self,
        utc_s: int,
        now_ns: int,
        *,
        trusted: bool,
        into_second_ns: int = 0,
        least: Least = NO_TIME,
    ) -> None:
        """Do what is due; those above first, so that they need nobody's place."""
        for player in self._players.values():
            player.handle_time(
                utc_s, now_ns, trusted=trusted, into_second_ns=into_second_ns, least=least
            )

    def receive_part_ended(self, source: int, utc_s: int, now_ns: int, *, failed: str = "") -> None:
        """Note that the file of `source` came to its end, or why it could not be played."""
        for player in self._players.values():
            player.receive_part_ended(source, utc_s, now_ns, failed=failed)

    def receive_horn(self, source: int, now_ns: int, *, taken: bool) -> None:
        """Note that a stored item lost the horn (`taken`) or has it back: its time stands still."""
        for player in self._players.values():
            player.receive_horn(source, now_ns, taken=taken)

    def receive_sink(self, now_ns: int, *, sounds: bool) -> None:
        """Note that nothing can sound from now on, for want of a sound card, or that it can."""
        self._shared.receive_sink(now_ns, sounds=sounds)

    def runs_of(self, source: int) -> list[Run]:
        """Return what plays on `source`: one run, or none."""
        return [run for player in self._players.values() for run in player.runs_of(source)]

    def mute(self, levels: tuple[int, ...], by: str | None, utc_s: int, now_ns: int) -> None:
        """Stop what is of these tiers and below, by class, and start none: `by` has muted it."""
        for player in self._players.values():
            player.mute(levels, by, utc_s, now_ns)

    def next_deadline_ns(self) -> int | None:
        """Return when `handle_time` must run next, or None when nothing is planned."""
        ends_ns = (player.next_deadline_ns() for player in self._players.values())
        return min((one for one in ends_ns if one is not None), default=None)

    def next_event(self) -> PlayerEvent | None:
        """Return the oldest event not yet taken, or None. A `Persist` is kept before the next."""
        return self._shared.next_event()


def _is_same(one: _InForce, other: _InForce) -> bool:
    """Return whether both are one order, not only of one content: a new one may have a new key."""
    return one[0] is other[0] and one[1] is other[1]


def key_of(level: int) -> str:
    """Return under which name the memory of a tier's calendar is kept."""
    return KEY if level == OWN else f"{KEY}/{level}"
