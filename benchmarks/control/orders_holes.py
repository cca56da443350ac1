"""Checks of a right left out, one by one: histories must notice each (`orders --faults`)."""

from typing import Final

from benchmarks.fault import Fault

_BOOK: Final = "node/control/trust/authority.py"
_GATE: Final = "node/control/trust/gatekeeper.py"
_REVOKED: Final = "node/control/trust/revocations.py"
_SESSIONS: Final = "node/control/sessions.py"
_MUTE: Final = "node/control/mute.py"
_PLANS: Final = "node/control/plans.py"
_KNOWN: Final = "node/control/warning/alert_memory.py"
_SHARES: Final = "node/control/trust/shares.py"
_SIGNERS: Final = "node/control/trust/signers.py"
_ROOTS: Final = "node/control/trust/roots.py"
_ASKED: Final = "node/control/trust/asked_time.py"
_OPEN: Final = "node/control/warning/alert_book.py"
_TIME: Final = "node/control/civil_time.py"


def _hole(name: str, path: str, right: str, wrong: str) -> Fault:
    return Fault(name, path, ((right, wrong),))


HOLES: Final = (
    _hole("any signature is genuine", _BOOK, "if not verified(*asked):", "if False:"),
    _hole(
        "an order acts outside the area of its key",
        _BOOK,
        "if not proper_area(warrant.area) or not within(warrant.area, authority.area):",
        "if False:",
    ),
    _hole(
        "the class of a key has no end",
        _BOOK,
        "if message_class > authority.class_max:",
        "if False:",
    ),
    _hole(
        "who came down acts as before",
        _BOOK,
        "if authority.level > warrant.level:",
        "if False:",
    ),
    _hole(
        "certificates do not end",
        _BOOK,
        "is_over = least.at(one.level) >= one.until_s",
        "is_over = False",
    ),
    _hole(
        "a clock that is set ahead ends what sounds",
        _TIME,
        "return min(own_ns, now_ns + self._before_ns) if is_held else own_ns",
        "return own_ns",
    ),
    _hole(
        "only the key's own certificate ends, not those above it",
        _BOOK,
        "if any(self._has_ended(one, least) for one in chain_of(authority, self._known)):",
        "if self._has_ended(authority, least):",
    ),
    _hole(
        "a child may be of its parent's tier",
        _BOOK,
        "if new.level <= parent.level:",
        "if new.level < parent.level:",
    ),
    _hole(
        "a child may be wider than its parent's area",
        _BOOK,
        "if not proper_area(new.area) or not within(new.area, parent.area):",
        "if False:",
    ),
    _hole(
        "a child may be of a higher class",
        _BOOK,
        "if not 0 <= claim.class_max <= parent.class_max:",
        "if False:",
    ),
    _hole(
        "an older certificate holds again",
        _BOOK,
        "older = known.parent == new.parent and new.counter < known.counter",
        "older = False",
    ),
    _hole(
        "what was certified before stays wider than its parent is now",
        _BOOK,
        "self._drop_where(self._wider_than_its_parent)",
        "",
    ),
    _hole(
        "a revoked key goes on",
        _BOOK,
        "self._drop_where(self._is_revoked)",
        "",
    ),
    _hole(
        "a revoked key is believed when its certificate comes again",
        _BOOK,
        "if self._revocations.holds(new.key_id, self._above(parent)):",
        "if False:",
    ),
    _hole(
        "only a parent's revocations count, not those above it",
        _REVOKED,
        "return any(key in self._keys.get(one.key_id, ()) for one in above)",
        "return any(key in self._keys.get(one.key_id, ()) for one in list(above)[:1])",
    ),
    _hole(
        "an order acts twice",
        _GATE,
        "once = self._replay.refusal(message.key_id, message.counter)",
        "once = None",
    ),
    _hole(
        "an order acts after its time to live",
        _GATE,
        "if utc_s >= message.issued_s + message.ttl_s:",
        "if False:",
    ),
    _hole(
        "an order for another place acts here",
        _GATE,
        "        return within(self._area, message.area)\n\n    def _note_time",
        "        return True\n\n    def _note_time",
    ),
    _hole(
        "anybody gives the time",
        _GATE,
        '        if not self._book.may_give_time(signer):\n            return "may not give',
        '        if False:\n            return "may not give',
    ),
    _hole(
        "a lower authority takes a stream",
        _SESSIONS,
        "if known is not None and _is_anothers(known, order):",
        "if False:",
    ),
    _hole(
        "a lower authority takes the name of a stream",
        _SESSIONS,
        "_is_anothers(one, order) and same_name(one.stream, session.stream)",
        "False",
    ),
    _hole(
        "an item relays a stream of a lower tier",
        _SESSIONS,
        "and one.rank <= rank\n",
        "and True\n",
    ),
    _hole(
        "an item relays a stream of a key that may not order its class",
        _SESSIONS,
        "and one.by.class_max >= kind\n",
        "and True\n",
    ),
    _hole(
        "a mute silences those above it",
        _MUTE,
        "return normal, priority, NOBODY",
        "return (-1, -1, NOBODY) if self._mutes else (NOBODY, NOBODY, NOBODY)",
    ),
    _hole(
        "anybody ends a mute",
        _MUTE,
        "if self._book.gives_way(one.warrant, by)]",
        "]",
    ),
    _hole(
        "a mute outlives the right of its key",
        _MUTE,
        "if isinstance(self._book.may(one.warrant, MessageClass.NORMAL, least), str)",
        "if False",
    ),
    _hole(
        "an item is of a higher class than its key",
        _PLANS,
        "if order.until_ns and item.message_class_value > authority.class_max:",
        "if False:",
    ),
    _hole(
        "an item is of a higher tier than its key",
        _PLANS,
        "lowest = max(level, self._tiers.index(item.level))",
        "lowest = self._tiers.index(item.level)",
    ),
    _hole(
        "a lower authority's volume plan softens those above",
        _PLANS,
        "(one for one in self._volumes if one <= level)",
        "(one for one in self._volumes)",
    ),
    _hole(
        "a volume plan outlives the right of its key",
        _PLANS,
        "if self._no_right(plan.warrant, least, message_class) is None:",
        "if True:",
    ),
    _hole(
        "who may order less replaces a plan",
        _PLANS,
        "if self._is_of_more(order):",
        "if False:",
    ),
    _hole(
        "a plan says how loud what its key may not order is",
        _PLANS,
        "if self._no_right(plan.warrant, least, message_class) is None:",
        "if self._no_right(plan.warrant, least) is None:",
    ),
    _hole(
        "who may order less ends a mute of its tier",
        _BOOK,
        "return other.may_as_much(holder)",
        "return True",
    ),
    _hole(
        "a mute silences in its tier what its key may not order",
        _MUTE,
        "min((level + (most < kind) for level, most in reach), default=NOBODY)",
        "min((level for level, most in reach), default=NOBODY)",
    ),
    _hole(
        "what a lower authority said under a name keeps a higher one out",
        _KNOWN,
        "if known is None or known.level > level or",
        "if known is None or",
    ),
    _hole(
        "anybody ends a warning",
        _KNOWN,
        "if known.level < level or (by.exercise and not known.exercise):",
        "if False:",
    ),
    _hole(
        "an exercise ends a real warning",
        _KNOWN,
        "if known.level < level or (by.exercise and not known.exercise):",
        "if known.level < level:",
    ),
    _hole(
        "a warning outlives the right of its key",
        _OPEN,
        "            if isinstance(holder, str):\n                record = self._drop",
        "            if False:\n                record = self._drop",
    ),
    _hole(
        "a tier fills the places that are for those above",
        _SHARES,
        "return self.places - reserve * min(level + 1, self.tiers)",
        "return self.places",
    ),
    _hole(
        "a lower authority's places keep a higher one out",
        _SHARES,
        "if first <= one.level <= lowest]",
        "if first <= one.level]",
    ),
    _hole("one signature will do", _SIGNERS, "if 1 + with_it >= asked.signatures:", "if True:"),
    _hole("who signs first counts twice", _SIGNERS, " or key == first.key_id", ""),
    Fault(
        "who was not named signs too",
        _SIGNERS,
        (
            ("key not in first.together.among or ", ""),
            (" if key in asked.among}", "}"),
        ),
    ),
    _hole("a further signature needs not be genuine", _SIGNERS, "elif verified(*asked):", "else:"),
    _hole("one signs for a class that it may not order", _SIGNERS, "and kind <= one.class_max", ""),
    _hole(
        "one signs for where it may order nothing",
        _SIGNERS,
        "and within(warrant.area, one.area)",
        "",
    ),
    _hole(
        "one signs whose certificate has ended",
        _SIGNERS,
        "all(least.at(up.level) < up.until_s for up in chain_of(one, self._known))",
        "True",
    ),
    _hole(
        "what several certified stays when one of them is taken back",
        _SIGNERS,
        "return one.class_max <= self.reaching(parent, by, least).class_max",
        "return True",
    ),
    _hole(
        "one ends a warning of several",
        _KNOWN,
        "known.key == by.signed_by and not known.cosigned",
        "known.key == by.signed_by",
    ),
    _hole(
        "one ends a voice of several",
        _SESSIONS,
        "return bool(one.warrant.cosigners) and one.by.class_max > by.class_max",
        "return False",
    ),
    _hole(
        "a root follows that was not promised",
        _ROOTS,
        "return None if digest_of(change.next_public_key) == self._promised else NOT_PROMISED",
        "return None",
    ),
    _hole(
        "a root follows that has not signed",
        _ROOTS,
        "if not is_by_next(change, message):",
        "if False:",
    ),
    _hole(
        "a root that is followed does not end",
        _BOOK,
        "parent=following.key_id, until_s=change.until_s)",
        "parent=following.key_id)",
    ),
    _hole(
        "the next root gives back what the first has taken",
        _BOOK,
        "yield from self._former.values()",
        "pass",
    ),
    _hole(
        "a root that was taken back comes back with a statement",
        _BOOK,
        "known = self._known.get(following.key_id) or self._former.get(following.key_id)",
        "known = self._known.get(following.key_id)",
    ),
    _hole("a root is certified", _BOOK, "if self._roots.is_root(new.key_id):", "if False:"),
    _hole(
        "the time is believed of an answer to no question",
        _ASKED,
        "return content.startswith(self._nonce) and",
        "return",
    ),
    _hole("an answer is never too late", _ASKED, " and now_ns <= self._sent_ns + LIVES_NS", ""),
)
