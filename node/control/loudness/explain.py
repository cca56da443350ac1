"""Say in a sentence which rule made the volume what it is, in the reader's language."""

from datetime import datetime
from typing import Final

from node.control.loudness.language import Translate, untranslated
from node.control.loudness.regulation import DEFAULT_JUSTIFICATION, Verdict
from node.control.loudness.schedule import Decision, QuietHours, Step, VolumeRule
from node.control.precedence import CLASSES, SILENT_DB, MessageClass


def _(text: str) -> str:
    """Mark what the catalogues translate."""
    return text


_WEEKDAYS: Final = (
    _("Monday"),
    _("Tuesday"),
    _("Wednesday"),
    _("Thursday"),
    _("Friday"),
    _("Saturday"),
    _("Sunday"),
)
_MONTHS: Final = (
    _("January"),
    _("February"),
    _("March"),
    _("April"),
    _("May"),
    _("June"),
    _("July"),
    _("August"),
    _("September"),
    _("October"),
    _("November"),
    _("December"),
)
_MESSAGES: Final = (_("a normal message"), _("a priority message"), _("an urgent message"))
_CLASS_NAMES: Final = (_("normal"), _("priority"), _("urgent"))

_HEAD: Final = _(
    "On {weekday} {day} {month} {year} at {time} ({zone}) {message} plays at volume {volume} "
    "({gain} dB)."
)
_HEAD_SILENT: Final = _(
    "On {weekday} {day} {month} {year} at {time} ({zone}) {message} does not sound."
)
_HEAD_UNTRUSTED: Final = _(
    "The date and time are not known for certain: {message} plays at volume {volume} ({gain} dB)."
)
_HEAD_UNTRUSTED_SILENT: Final = _(
    "The date and time are not known for certain: {message} does not sound."
)
_UNTRUSTED: Final = _("Until the clock is trusted only urgent messages play.")
_DEFAULT: Final = _("No rule covers this minute, so the commune's volume of {volume} holds.")
_RULE_WEEKLY: Final = _("The weekly rule “{name}” for {place} sets {volume}.")
_RULE_EXCEPTION: Final = _("The exception “{name}” for {place} sets {volume}.")
_COMMUNE: Final = _("the whole commune")
_HAMLET: Final = _("the hamlet {hamlet}")
_CLUSTER: Final = _("the cluster {cluster}")
_OFFSET_UP: Final = _("The class {class_name} adds {amount}, which makes {volume}.")
_OFFSET_DOWN: Final = _("The class {class_name} takes off {amount}, which makes {volume}.")
_QUIET_LOWERS: Final = _(
    "The quiet hours “{name}” ({start} to {end}) allow at most {limit}, which lowers it to "
    "{volume}."
)
_QUIET_FITS: Final = _("The quiet hours “{name}” ({start} to {end}) allow {limit}: it stays.")
_NOISE_LOWERS: Final = _(
    "At the nearest dwelling that would be {level} dBA; {rule} allows {limit}, so it is lowered "
    "to {gain} dB."
)
_NOISE_REFUSES: Final = _(
    "At the nearest dwelling that would be {level} dBA; {rule} allows {limit}, so it does not "
    "sound."
)
_NOISE_JUSTIFIES: Final = _(
    "At the nearest dwelling that is {level} dBA, above the {limit} of {rule}; it plays all the "
    "same, and the record says why: {why}."
)
_NOISE_FITS: Final = _("At the nearest dwelling that is {level} dBA, within the {limit} of {rule}.")
_UNVERIFIED: Final = _("Nobody has checked the numbers of {rule} against its text.")
_NOISE: Final = {
    "lower": _NOISE_LOWERS,
    "refuse": _NOISE_REFUSES,
    "justify": _NOISE_JUSTIFIES,
    "play": _NOISE_FITS,
}
_FLOOR: Final = _("It is urgent, so the emergency floor raises it to {volume}.")


def explain(
    decision: Decision,
    local: datetime,
    message_class: MessageClass,
    *,
    zone: str,
    translate: Translate = untranslated,
) -> str:
    """Return why `message_class` plays as loud as `decision` says, for people.

    Parameters
    ----------
    decision : Decision
        Of `VolumeSchedule.decide`.
    local : datetime
        Wall clock of that minute.
    message_class : MessageClass
        What was asked for.
    zone : str
        Name of the time zone.
    translate : callable
        From `language.load_catalogue`; English without.
    """
    kind = decision.steps[0].kind
    silent = decision.volume == 0
    if kind.startswith("untrusted"):
        head, why = (_HEAD_UNTRUSTED_SILENT if silent else _HEAD_UNTRUSTED), [translate(_UNTRUSTED)]
    else:
        head = _HEAD_SILENT if silent else _HEAD
        why = _reasons(decision.steps, message_class, translate)
    first = translate(head).format(
        weekday=translate(_WEEKDAYS[local.weekday()]),
        day=local.day,
        month=translate(_MONTHS[local.month - 1]),
        year=local.year,
        time=f"{local:%H:%M}",
        zone=zone,
        message=translate(_MESSAGES[message_class]),
        volume=decision.volume,
        gain=_signed(decision.gain_db),
    )
    return " ".join([first, *why])


def explain_noise(verdict: Verdict, translate: Translate = untranslated) -> str:
    """Return what the noise limit makes of it, for people; empty where there is no limit."""
    if verdict.limit_dba is None:
        return ""
    said = [
        translate(_NOISE[verdict.action]).format(
            level=f"{verdict.expected_dba:.0f}",
            limit=f"{verdict.limit_dba:.0f}",
            rule=verdict.rule,
            gain=_signed(verdict.gain_db),
            why=translate(verdict.justification),
        )
    ]
    if not verdict.verified:
        said.append(translate(_UNVERIFIED).format(rule=verdict.rule))
    return " ".join(said)


def _signed(gain_db: float) -> str:
    return "" if gain_db == SILENT_DB else f"{gain_db:+.1f}".replace("-", "−")


def _reasons(steps: tuple[Step, ...], message_class: MessageClass, _t: Translate) -> list[str]:
    said = []
    for step in steps:
        if step.rule is not None:
            said.append(_rule(step.rule, _t))
        elif step.quiet is not None:
            said.append(_quiet(step.quiet, step, _t))
        elif step.kind == "offset":
            text = _t(_OFFSET_UP if step.amount > 0 else _OFFSET_DOWN)
            name = _t(_CLASS_NAMES[message_class])
            said.append(text.format(class_name=name, amount=abs(step.amount), volume=step.volume))
        elif step.kind == "floor":
            said.append(_t(_FLOOR).format(volume=step.volume))
        elif len(steps) == 1 or steps[1].rule is None:
            said.append(_t(_DEFAULT).format(volume=step.volume))
    return said


def _rule(rule: VolumeRule, _t: Translate) -> str:
    if rule.cluster is not None:
        place = _t(_CLUSTER).format(cluster=rule.cluster)
    elif rule.hamlet is not None:
        place = _t(_HAMLET).format(hamlet=rule.hamlet)
    else:
        place = _t(_COMMUNE)
    text = _RULE_EXCEPTION if rule.on.exceptional else _RULE_WEEKLY
    return _t(text).format(name=rule.name, place=place, volume=rule.volume)


def _quiet(quiet: QuietHours, step: Step, _t: Translate) -> str:
    text = _QUIET_LOWERS if step.volume < step.amount else _QUIET_FITS
    return _t(text).format(
        name=quiet.name,
        start=quiet.start,
        end=quiet.end,
        limit=quiet.volume_max,
        volume=step.volume,
    )


_(DEFAULT_JUSTIFICATION)  # the operator's own words stay as they are

assert len(_MESSAGES) == len(_CLASS_NAMES) == len(CLASSES)
