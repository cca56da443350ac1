"""Which `info` blocks of a CAP document are one warning, and of what class, time and event it is.

A document may have one block for each language, and others for another hour, place or danger. Each
danger is a warning of its own at a place, with its own period; translations are one.
"""

from collections.abc import Container
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from node.control.precedence import MessageClass
from node.control.warning.cap import CapInfo

ANY_EVENT: Final = "any"

BLOCKS_MAX: Final = 4
"""Blocks of a document that are warnings of their own at one place."""

_COMPARED_MAX: Final = 16
"""Blocks that an info may be a translation of: real documents have a few."""

_SILENT_CLASS: Final = -1


@dataclass(frozen=True, slots=True)
class Shape:
    """What the infos of one block have in common."""

    message_class: int
    effective_s: int
    expires_s: int
    onset_s: int
    event_code: str


def blocks_of(
    infos: list[CapInfo],
    sent_s: int,
    *,
    default_s: int,
    events: Container[str],
    class_max: MessageClass,
) -> list[tuple[Shape, list[CapInfo]]]:
    """Return the infos by what they have in common, the most urgent and earliest first.

    An info of the same class and time in a further language is a translation, also when it says
    neither event code nor onset. Of more than `BLOCKS_MAX` blocks the last are read into the one
    before.

    Parameters
    ----------
    infos : list of CapInfo
        Those that sound here.
    sent_s : int
        When the document was sent.
    default_s : int
        How long what has no end lasts, from when it takes effect on.
    events : container of str
        Event codes with sounds of their own: of several codes of an info the first such counts.
    class_max : MessageClass
        The most that any of them may be.
    """
    found: dict[Shape, list[CapInfo]] = {}
    for info in sorted(infos, key=lambda info: (not info.event_codes, info.onset_s is None)):
        codes = [value for _, value in info.event_codes]
        known = [code for code in codes if code in events]
        start_s, end_s = start_of(info, sent_s), info.expires_s
        if end_s is None:  # from when it holds, or one for the day after tomorrow would never sound
            end_s = max(start_s, sent_s) + default_s
        shape = Shape(
            message_class=int(min(class_of(info), class_max)),
            effective_s=start_s,
            expires_s=end_s,
            onset_s=info.onset_s or 0,
            event_code=next(iter(known or codes), ANY_EVENT),
        )
        same = (
            one
            for one, said in islice(found.items(), _COMPARED_MAX)
            if _translates(info, shape, one, said)
        )
        found.setdefault(next(same, shape), []).append(info)
    blocks = sorted(found.items(), key=lambda one: (-one[0].message_class, one[0].effective_s))
    while len(blocks) > BLOCKS_MAX:
        (last, said), (shape, also) = blocks[-2], blocks.pop()
        both = replace(
            last,
            effective_s=min(last.effective_s, shape.effective_s),
            expires_s=max(last.expires_s, shape.expires_s),
        )
        blocks[-1] = (both, [*said, *also])
    return blocks


def class_of(info: CapInfo) -> int:
    """Return the message class of `info`, or -1 when it is nothing to sound.

    ============  ================  ==========================  =========================
    class         urgency           severity                    certainty
    ============  ================  ==========================  =========================
    urgent        Immediate,        Extreme, Severe             Observed, Likely
                  Expected
    priority      Immediate,        Extreme, Severe, Moderate   Observed, Likely, Possible
                  Expected, Future
    none          Past, or          any                         or Unlikely
    normal        all others
    ============  ================  ==========================  =========================

    Neither Circular 39/2020 nor CAP maps one to the other: this table is ours.
    """
    if info.urgency == "Past" or info.certainty == "Unlikely":
        return _SILENT_CLASS
    soon = info.urgency in ("Immediate", "Expected")
    likely = info.certainty in ("Observed", "Likely")
    if soon and likely and info.severity in ("Extreme", "Severe"):
        return MessageClass.URGENT
    foreseen = soon or info.urgency == "Future"
    grave = info.severity in ("Extreme", "Severe", "Moderate")
    if foreseen and grave and (likely or info.certainty == "Possible"):
        return MessageClass.PRIORITY
    return MessageClass.NORMAL


def start_of(info: CapInfo, sent_s: int) -> int:
    """Return from when on `info` is to sound.

    `effective` says when the information holds, and without it that is when it was sent (CAP 1.2,
    section 3.2.2); until then it waits. `onset` is the beginning of the event, not of the warning:
    who is warned only then is warned too late, so it delays nothing. What is Extreme and Immediate
    sounds on receipt, whatever its `effective` says: "responsive action should be taken
    immediately" leaves nothing to wait for.
    """
    start_s = sent_s if info.effective_s is None else info.effective_s
    at_once = info.urgency == "Immediate" and info.severity == "Extreme"
    return min(start_s, sent_s) if at_once else start_s


def _translates(info: CapInfo, shape: Shape, other: Shape, said: list[CapInfo]) -> bool:
    """Return whether `info` says what the block `other` says, in another language."""
    like = replace(
        shape,
        event_code=shape.event_code if info.event_codes else other.event_code,
        onset_s=other.onset_s if info.onset_s is None else shape.onset_s,
    )
    return like == other and info.language not in {one.language for one in said}
