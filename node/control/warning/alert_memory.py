"""Which warnings were seen or referred to, so that each sounds once and a cancelled one never.

The memory is limited per tier: what a lower authority says pushes nothing out that a higher one
said, and a warning that is still open is never forgotten.
"""

from collections.abc import Container, Iterable, Iterator
from typing import Final

from node.control.trust.fates import NOT_ITS_TO_END, NOTHING_IN_FORCE, OVER_ALREADY
from node.control.trust.shares import Shares
from node.control.warning.alert import Alert, key_of
from node.control.warning.alert_state import KNOWN_MAX, Known

REFERENCES_KEPT: Final = 32
"""Of the warnings that one order ends before they came; more are not remembered."""

AHEAD_S: Final = 7 * 86_400
"""What was ended before it came is remembered for so long: no order lives longer."""

Key = tuple[str, str]


class AlertMemory:
    """The warnings that one node knows, by sender and number."""

    def __init__(self, known: Iterable[Known], tiers: int) -> None:
        self._known = {(one.sender, one.number): one for one in known}
        self._shares = Shares(KNOWN_MAX, tiers, KNOWN_MAX)

    def __iter__(self) -> Iterator[Known]:
        return iter(self._known.values())

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: Key) -> Known | None:
        """Return what is known under `key`."""
        return self._known.get(key)

    def stands_in_the_way(self, alert: Alert, level: int) -> bool:
        """Return whether `alert`, of an authority of `level`, was heard of or ended already.

        What a lower tier said under its name does not count, nor what an exercise did, nor what
        another key of the same tier did with less weight.
        """
        known = self._known.get(alert.key)
        if known is None or known.level > level or (known.exercise and not alert.exercise):
            return False
        if known.level < level or _is_own(alert, known):
            return True
        return known.message_class >= alert.message_class

    def add(self, alert: Alert, level: int, fate: str, open_keys: Container[Key]) -> None:
        """Remember `alert` and what became of it."""
        self._put(
            Known(
                *alert.key,
                level,
                fate,
                alert.expires_s,
                exercise=alert.exercise,
                message_class=alert.message_class,
                key=alert.signed_by,
                cosigned=bool(alert.cosigned_by),
            ),
            open_keys,
        )

    def end_referred(
        self, by: Alert, level: int, fate: str, open_keys: Container[Key]
    ) -> list[Key]:
        """Note that `by` ends what it refers to, where it may; return what it ended.

        It may when it is of the same key, or from its tier or above and allowed as much; an
        exercise ends only exercises. What has not come yet must not sound when it comes.
        """
        ended: list[Key] = []
        unknown = 0
        for sender, identifier in by.references:
            key = key_of(sender, identifier)
            known = self._known.get(key)
            if known is None or known.ahead:
                unknown += 1
                if unknown <= REFERENCES_KEPT and (known is None or _may_end(by, level, known)):
                    self._put(_ahead(key, by, level, fate), open_keys)
            elif _may_end(by, level, known):
                known.fate = fate
                ended.append(key)
        return ended

    def what_it_ends(self, by: Alert, level: int, open_keys: Container[Key]) -> str:
        """Return the fate of `by` if it only ends: whether what it refers to is in force."""
        keys = [key_of(*one) for one in by.references]
        known = [one for key in keys if (one := self._known.get(key)) is not None]
        in_force = [one for one in known if (one.sender, one.number) in open_keys]
        if any(_may_end(by, level, one) for one in in_force):
            return "cancel"
        if by.kind == "leave":
            return "not for this place"
        if in_force:
            return NOT_ITS_TO_END
        return OVER_ALREADY if any(not one.ahead for one in known) else NOTHING_IN_FORCE

    def note(self, key: Key, fate: str) -> None:
        """Note what became of a warning."""
        known = self._known.get(key)
        if known is not None:
            known.fate = fate

    def forget(self, key: Key) -> None:
        """Forget a warning: who signed it may no longer, and another may say the same."""
        self._known.pop(key, None)

    def _put(self, known: Known, open_keys: Container[Key]) -> None:
        """Remember `known`; of its tier and below the first to end goes when there are too many."""
        key = (known.sender, known.number)
        self._known.pop(key, None)
        self._known[key] = known
        for first in range(known.level, -2, -1):
            inside = [one for one in self._known.values() if one.level >= first]
            if len(inside) <= self._shares.quota(first):
                continue
            over = [
                one
                for one in inside
                if one is not known and (one.sender, one.number) not in open_keys
            ]
            least = min(over, key=lambda one: (not one.ahead, one.expires_s), default=None)
            if least is not None:
                del self._known[(least.sender, least.number)]


def _may_end(by: Alert, level: int, known: Known) -> bool:
    if known.level < level or (by.exercise and not known.exercise):
        return False
    # What several signed is ended by its own key only with others: then that may order as much.
    is_own = known.key == by.signed_by and not known.cosigned
    return is_own or by.class_max >= known.message_class


def _is_own(alert: Alert, known: Known) -> bool:
    """Return whether its own key said so before, and no fewer with it than say it now."""
    return known.key == alert.signed_by and (known.cosigned or not alert.cosigned_by)


def _ahead(key: Key, by: Alert, level: int, fate: str) -> Known:
    """Return the memory of a warning that was ended before it came."""
    return Known(
        *key,
        level,
        fate,
        by.sent_s + AHEAD_S,
        exercise=by.exercise,
        message_class=by.class_max,
        key=by.signed_by,
        ahead=True,
        cosigned=bool(by.cosigned_by),
    )
