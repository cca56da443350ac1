"""What becomes of an order, in a word for machines, and what helps, in a sentence for people."""

from typing import Final

from node.control.trust.revocations import NO_PLACE
from node.control.trust.roots import NOT_BY_NEXT, NOT_PROMISED, NOT_THE_NEWEST

NOTHING_IN_FORCE: Final = "nothing in force under that number"
"""Of a cancel about a warning that this node never had; should it come, it does not sound."""

OVER_ALREADY: Final = "over already"
"""Of a cancel about a warning that had ended by itself, or by another order."""

NOT_ITS_TO_END: Final = "not its to end"
"""Of a cancel about a warning that goes on, because this key may not end it."""

NOT_ITS_PLAN: Final = "the plan in force is of a key that may order more"
"""Of a calendar or volume plan of the same tier, by a key of a lower class or of less area."""

TOO_FEW: Final = "needs more signatures"
"""Of an order, or a certificate, that this key gives only with others."""

NOT_ITS_KIND: Final = "not an order that this key gives"

BY_NEWER_ROOT: Final = "the root that follows has certified it"

NO_LOOP: Final = "no loop is wired"
OUTSIDE_HOURS: Final = "outside the hours of the tone"
NOT_NOW: Final = "something sounds, or must not"
"""Of the order of a self-test."""

OF_THE_MOMENT: Final = frozenset({OUTSIDE_HOURS, NOT_NOW})
"""The order was right and its moment was not: it is used up, or who recorded it would choose the
moment of a tone that people hear."""

CANCELS: Final = frozenset({"cancel", OVER_ALREADY, NOTHING_IN_FORCE})
"""Of a cancel after which what it is about does not sound."""

_GOOD: Final = frozenset({"obeyed", "waiting", "cancel", OVER_ALREADY, "known"})

_REMEDIES: Final = {
    "unknown key": "send this node the key's certificate; if the key was revoked or replaced, sign"
    " with another",
    "the certificate has ended": "ask the authority above for a new certificate",
    "outside its area": "name an area that the key's certificate covers, without a slash or blank"
    " at its ends",
    "above its class": "sign with a lower --class, or with a key whose certificate allows it; some"
    " allow it only with the signatures of others",
    "above its tier": "sign it again: the key's certificate is of a lower tier now",
    TOO_FEW: "let the others whom the key's certificate names sign the same file, `loalang-node"
    " order cosign FILE --key KEY`; each counts only for what it may order itself, and if this node"
    " has its certificate",
    BY_NEWER_ROOT: "sign it with the newest root",
    "the key of a root": "certify another key: a root is nobody's authority",
    "asks for signatures that nobody can give": "name at least as many key ids as signatures are"
    " wanted beside its own, seven at most, and a class above normal",
    NOT_PROMISED: "a node follows only to the root whose digest its configuration has"
    " (control.next_root), or that the last change promised: give it a new configuration by hand",
    NOT_THE_NEWEST: "send the changes of roots in their order, with rising numbers",
    NOT_BY_NEXT: "let the next root sign the same file: `loalang-node order cosign FILE --key KEY`",
    "its root holds only later": "sign it again when the root holds",
    "only warnings and voices": "an emergency key orders nothing else: ask whoever certified it",
    NOT_ITS_KIND: "sign with a key whose certificate allows this kind of order",
    "allows nothing": "name what it may order: `--orders` of `loalang-node order certificate`",
    "more than its parent may order": "allow only what the key that signs may order itself",
    "not for here": "name the area of this node, or one above it",
    "replayed": "sign it again: each order acts once",
    "issued before this node lost its counters": "sign it again: the node cannot tell whether it"
    " has acted",
    "overtaken by too many later ones": "sign it again with a greater --counter: this key has"
    " signed so many later ones that the node cannot tell whether it is new",
    "its time to live is over": "sign it again, with a longer --ttl if the clocks differ; the"
    " node's own time is in its answer",
    "issued in the future": "set the clock of the machine that signs; only urgent orders act"
    " whatever it shows",
    "not urgent while the time is not known": "wait until the node has the time, or send it a"
    " beacon and time by NTP",
    "too many orders": "wait some seconds: this key has sent too many at once",
    "may not give the time": "sign the beacon with a key whose certificate says that it may",
    "ahead of this node's clock": "set the clock of the machine that signs, or this node's",
    "too many authorities": "revoke keys that are not needed, or certify at a higher tier",
    "known from another parent": "let the authority above both revoke it first",
    "older than the certificate in force": "sign the certificate again",
    "not below its parent": "certify a tier below that of the key that signs",
    "wider than its parent's area": "name an area within that of the key that signs",
    "above its parent's class": "name a class that the key that signs has itself",
    "revoked": "certify another key: a revoked one never comes back",
    "too many revocations": "certify the authorities below under a new key, and revoke the old",
    NO_PLACE: "let an authority above revoke the key; whose lists are of no use any more the root"
    " takes back itself, and they make room",
    "too many single revocations": "send one numbered list with all of them",
    "the stream belongs to another": "choose another number for the stream, or let a higher tier"
    " announce it",
    "the name of the stream belongs to another": "choose another name for the stream, or let a"
    " higher tier announce it",
    "the node's own number": "choose a number for the stream below ffff0000",
    "too many sessions": "end a session of this tier first",
    "too many warnings at once": "cancel what is no longer needed: this tier has no place left",
    "too many mutes": "end a mute of this tier first",
    "no stored sound for it": "put phrases for the event, or for `any`, into [control.alert]",
    NOTHING_IN_FORCE: "compare the number with the one that was printed when the warning was"
    " signed, and sign with the key that ordered it; should it come later, it will not sound",
    NOT_ITS_TO_END: "sign with the key that ordered the warning, or with one of its tier or above"
    " that may order as much; an exercise ends only exercises",
    NOT_ITS_PLAN: "sign with that key, or with one of its tier that"
    " has its class and its area; an authority above may revoke it",
    "expired": "send a warning whose end lies in the future by the node's clock",
    "expires before it takes effect": "send a warning that ends after it begins",
    "not for this place": "nothing, unless its area was to hold this place: then draw it wider",
    "nothing to sound": "what is past or unlikely is not sounded: say so otherwise if it is to be",
    NO_LOOP: "wire a microphone or a clamp for the current, and name it in [loop]",
    OUTSIDE_HOURS: "order it within loop.tone_hours, or a silent one",
    NOT_NOW: "order it again when the node is silent and not muted: it never holds up what sounds",
    "muted from above": "ask the authority that muted the node",
}


_MEND: Final = "mend what is named, and sign it again"
"""Of an order whose content is at fault: the fate says where."""


def is_good(fate: str) -> bool:
    """Return whether an order with this fate was no fault; all others are refused."""
    return fate.partition(":")[0] in _GOOD


def remedy_of(fate: str) -> str:
    """Return what would help where an order had this fate; empty where it was obeyed."""
    return "" if is_good(fate) else _REMEDIES.get(fate.partition(":")[0], _MEND)
