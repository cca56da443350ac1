"""Who may what where several sign and roots follow one another, worked out anew: an oracle.

It shares no line with the node's book: `benchmarks.control.several.history` holds one against it.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from benchmarks.control.orders_pole import HERE
from benchmarks.control.orders_truth import reaches

ROOTS: Final = ("root", "root 2", "root 3")
"""The first is the node's; each was promised the one after it."""
FOR_EVER_S: Final = 1 << 39


@dataclass(frozen=True, slots=True)
class Paper:
    """One certificate that was obeyed."""

    parent: str
    level: int
    area: str
    class_max: int
    until_s: int
    counter: int
    by: frozenset[str] = frozenset()
    """Who signed it besides."""
    asks: int = 1
    """Signatures of `among` that an urgent order needs."""
    among: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Said:
    """What is under way, and who signed it."""

    key: str
    by: frozenset[str]
    message_class: int
    level: int


@dataclass(slots=True)
class SeveralTruth:
    """Certificates, revocations and roots, by names of keys."""

    papers: dict[str, Paper] = field(default_factory=dict)
    revoked: dict[str, set[str]] = field(default_factory=dict)
    followed: dict[str, int] = field(default_factory=dict)
    """By root: when it ends, where another one follows."""

    @property
    def newest(self) -> str:
        """The root that nobody follows."""
        return ROOTS[len(self.followed)]

    def is_root(self, key: str) -> bool:
        """Return whether it is a root of the node now: neither it nor one on which it hangs, which
        are those that follow, was taken back.
        """
        known = ROOTS[: len(self.followed) + 1]
        return key in known and not any(
            earlier in self.revoked.get(later, ())
            for at, later in enumerate(known)
            for earlier in known[known.index(key) : at]
        )

    def level(self, key: str) -> int:
        """Return the tier; roots are above all, strangers below."""
        if key in ROOTS and self.is_root(key):
            return -1
        return self.papers[key].level if key in self.papers else 99

    def links(self, key: str) -> list[tuple[str, int]]:
        """Return the key and those above it up to a root, and when each ends; [] for a stranger."""
        found = []
        while key not in ROOTS:
            if key not in self.papers:
                return []
            found.append((key, self.papers[key].until_s))
            key = self.papers[key].parent
        if not self.is_root(key):
            return []
        found += [(one, self.followed.get(one, FOR_EVER_S)) for one in ROOTS[ROOTS.index(key) :]]
        return found

    def may(
        self, key: str, by: frozenset[str], area: str, kind: int, utc_s: int | None
    ) -> bool | None:
        """Return whether these signers may order a class; None where it hangs on the time that
        nobody knows (`utc_s` is None).
        """
        certain = self._may(key, by, area, kind, FOR_EVER_S - 1)
        if utc_s is not None:
            return self._may(key, by, area, kind, utc_s)
        return certain if certain == self._may(key, by, area, kind, 0) else None

    def _may(self, key: str, by: frozenset[str], area: str, kind: int, utc_s: int) -> bool:
        links = self.links(key)
        if not links or not all(self._holds(*one, utc_s) for one in links):
            return False
        return key in ROOTS or self._reaches(key, by, area, kind, utc_s)

    def _holds(self, key: str, until_s: int, utc_s: int) -> bool:
        return utc_s < until_s and (key in ROOTS or self._is_upheld(self.papers[key], utc_s))

    def _is_upheld(self, one: Paper, utc_s: int) -> bool:
        """Return whether those who signed a certificate could sign it at `utc_s`."""
        if one.parent in ROOTS:
            return True
        own = self.papers[one.parent]
        return one.class_max < 2 or self._signed(one.parent, own, one.by, one.area, utc_s)

    def _reaches(self, key: str, by: frozenset[str], area: str, kind: int, utc_s: int) -> bool:
        own = self.papers[key]
        if kind > own.class_max or not reaches(own.area, area):
            return False
        return kind < 2 or self._signed(key, own, by, area, utc_s)

    def _signed(self, key: str, own: Paper, by: frozenset[str], area: str, utc_s: int) -> bool:
        good = 0
        for one in (by & own.among) - {key}:
            links = self.links(one)
            paper = self.papers.get(one)
            is_wide = paper is not None and paper.class_max == 2 and reaches(paper.area, area)
            good += bool(links) and is_wide and all(utc_s < until_s for _, until_s in links)
        return 1 + good >= own.asks

    def may_end(self, said: Said, one: Said) -> bool:
        """Return whether an order may end a warning: as many have signed it, or it reaches higher.

        What two signed who need three is of one.
        """
        if max(said.level, 0) > max(one.level, 0):
            return False
        if max(said.level, 0) < max(one.level, 0) or said.key in ROOTS:
            return True
        reach = any(
            self.may(said.key, said.by, HERE, kind, None) is not False
            for kind in range(one.message_class, 3)
        )
        if reach:
            return True
        return said.key == one.key and not self.are_enough(one)

    def are_enough(self, one: Said) -> bool:
        """Return whether as many signed as are asked for."""
        paper = self.papers.get(one.key)
        if paper is None or paper.asks == 1:
            return False
        known = {key for key in one.by & paper.among if key in self.papers}
        return 1 + len(known - {one.key}) >= paper.asks

    def certify(self, key: str, one: Paper) -> str | None:
        """Note a certificate that was obeyed; return what was wrong with that, or None."""
        wrong = None
        before = self.papers.get(key)
        if key in self.taken_back(one.parent):
            wrong = "a revoked key was certified again"
        elif key in ROOTS[: len(self.followed) + 2]:
            wrong = "a root was certified"
        elif before is not None and before.parent == one.parent and before.counter > one.counter:
            wrong = "an older certificate took the place of a newer one"
        elif before is not None and self._is_of_later_root(before, one):
            wrong = "a root took back what the one that follows had certified"
        if wrong is None and one.parent not in ROOTS and not self._is_upheld(one, 0):
            wrong = "too few signed a certificate"
        self.papers[key] = one
        self.settle()
        return wrong

    def _is_of_later_root(self, before: Paper, one: Paper) -> bool:
        both = before.parent in ROOTS and one.parent in ROOTS
        return both and ROOTS.index(before.parent) > ROOTS.index(one.parent)

    def taken_back(self, parent: str) -> set[str]:
        """Return the keys that nobody may certify below `parent`."""
        above = {parent, *(key for key, _ in self.links(parent)), *ROOTS[: len(self.followed) + 1]}
        return set().union(*(self.revoked.get(one, ()) for one in above))

    def revoke(self, issuer: str, key: str) -> None:
        """Note a revocation that was obeyed."""
        self.revoked.setdefault(issuer, set()).add(key)
        self.settle()

    def follow(self, until_s: int, root: str) -> None:
        """Note that the root after `root` follows it."""
        self.followed[root] = until_s
        self.settle()

    def settle(self) -> None:
        """Take away what hangs on nothing, and what too few uphold."""
        while gone := [key for key, one in self.papers.items() if not self._hangs(key, one)]:
            for key in gone:
                del self.papers[key]

    def _hangs(self, key: str, one: Paper) -> bool:
        if key in self.taken_back(one.parent) or not self.links(one.parent):
            return False
        if one.parent in ROOTS:
            return True
        up = self.papers[one.parent]
        fits = up.level < one.level and up.class_max >= one.class_max and reaches(up.area, one.area)
        return fits and self._is_upheld(one, 0)

    def narrowed(self, key: str, class_max: int, counter: int) -> Paper:
        """Return the certificate of `key` with another class."""
        return replace(self.papers[key], class_max=class_max, counter=counter)
