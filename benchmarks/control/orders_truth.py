"""Who may what, worked out anew from what was accepted: the oracle of `benchmarks.control.orders`.

It shares no line with the node's own book of authorities: a chain is walked link by link at each
question, and nothing is remembered but certificates and revocations as they were obeyed.
"""

from dataclasses import dataclass, field

from node.control.precedence import MessageClass

ROOT = "root"


@dataclass(frozen=True, slots=True)
class Given:
    """One certificate that was obeyed."""

    parent: str
    level: int
    area: str
    class_max: int
    until_s: int
    counter: int
    gives_time: bool


def reaches(outer: str, inner: str) -> bool:
    """Return whether area `outer` holds `inner`, part by part."""
    wanted, parts = [p for p in outer.split("/") if p], inner.split("/")
    return parts[: len(wanted)] == wanted


@dataclass(slots=True)
class Truth:
    """The certificates and revocations of a village, by names of keys."""

    given: dict[str, Given] = field(default_factory=dict)
    revoked: dict[str, set[str]] = field(default_factory=dict)

    def level(self, key: str) -> int:
        """Return the tier of a key; the root is above all, a stranger below."""
        if key == ROOT:
            return -1
        return self.given[key].level if key in self.given else 99

    def class_max(self, key: str) -> int:
        """Return the highest class of a key."""
        return int(MessageClass.URGENT) if key == ROOT else self.given[key].class_max

    def may(self, key: str, area: str, message_class: int, utc_s: int | None) -> bool:
        """Return whether `key` may do this at `utc_s`; None: nobody knows the time."""
        if key == ROOT:
            return True
        own = self.given.get(key)
        if own is None or message_class > own.class_max or not reaches(own.area, area):
            return False
        above = self._above(key)
        if above[-1] != ROOT:
            return False
        if utc_s is not None:
            links = [self.given[one] for one in [key, *above[:-1]]]
            return all(utc_s < one.until_s for one in links)
        return True

    def may_give_time(self, key: str) -> bool:
        """Return whether the beacons of `key` are believed: those of all above it are too."""
        links = [key, *self._above(key)[:-1]] if key != ROOT else []
        return all(self.given[one].gives_time for one in links)

    def certify(self, parent: str, key: str, given: Given) -> str | None:
        """Note a certificate that was obeyed; return what was wrong with obeying it, or None."""
        wrong = None
        if key in self.revoked_for(parent):
            wrong = "a revoked key was certified again"
        if parent != ROOT:
            own = self.given[parent]
            wider = (
                given.class_max > own.class_max
                or given.level <= own.level
                or not reaches(own.area, given.area)
            )
            wrong = "a child is wider than its parent" if wider else wrong
        before = self.given.get(key)
        if before is not None and before.parent == parent and before.counter > given.counter:
            wrong = "an older certificate widened a newer one"
        self.given[key] = given
        self.settle()
        return wrong

    def revoke(self, issuer: str, keys: set[str]) -> None:
        """Note a revocation that was obeyed."""
        self.revoked.setdefault(issuer, set()).update(keys)
        self.settle()

    def revoked_for(self, parent: str) -> set[str]:
        """Return the keys that `parent` or who stands above it has revoked."""
        found: set[str] = set()
        for one in [parent, *(self._above(parent) if parent != ROOT else [])]:
            found |= self.revoked.get(one, set())
        return found

    def settle(self) -> None:
        """Take away what no longer hangs on the root, or is wider than what it hangs on."""
        changed = True
        while changed:
            gone = [key for key, one in self.given.items() if not self._hangs(key, one)]
            changed = bool(gone)
            for key in gone:
                del self.given[key]

    def _hangs(self, key: str, one: Given) -> bool:
        if key in self.revoked_for(one.parent):
            return False
        if one.parent == ROOT:
            return True
        up = self.given.get(one.parent)
        return (
            up is not None
            and up.level < one.level
            and up.class_max >= one.class_max
            and reaches(up.area, one.area)
        )

    def _above(self, key: str) -> list[str]:
        chain: list[str] = []
        while key != ROOT and key in self.given and len(chain) < 32:
            key = self.given[key].parent
            chain.append(key)
        return chain or [""]
