"""How loud a message is now: the plan in force for its tier, then the noise limit; and why."""

from node.control.civil_time import Least, load_zone, local_time
from node.control.loudness.explain import explain, explain_noise
from node.control.loudness.language import Translate
from node.control.loudness.regulation import Regulation, Verdict
from node.control.loudness.schedule import Decision
from node.control.plans import Plans
from node.control.precedence import MessageClass


class HowLoud:
    """Ask the plans and the rules of one node."""

    def __init__(self, plans: Plans, regulation: Regulation, zone: str) -> None:
        self._plans = plans
        self._regulation = regulation
        self._zone = load_zone(zone)

    def now(
        self, message_class: MessageClass, rank: int, utc_s: int, *, trusted: bool, least: Least
    ) -> tuple[Decision, Verdict]:
        """Return the volume for a class and tier, and what the noise limit makes of it."""
        schedule = self._plans.volume(rank, message_class, least)
        decision = schedule.decide(utc_s, message_class, trusted=trusted)
        if not trusted:
            level_dba = self._regulation.level_dba(decision.gain_db)
            return decision, Verdict("play", decision.gain_db, level_dba, None, "", verified=True)
        local = local_time(utc_s, self._zone)
        return decision, self._regulation.judge_noise(local, message_class, decision.gain_db)

    def explain(
        self, message_class: MessageClass, rank: int, utc_s: int, translate: Translate
    ) -> str:
        """Return why a class of a tier is as loud as it is at `utc_s`, in the reader's words."""
        schedule = self._plans.volume(rank, message_class, Least.known(utc_s))
        decision = schedule.decide(utc_s, message_class)
        wall = local_time(utc_s, schedule.zone)
        zone = schedule.zone.key
        said = explain(decision, wall, message_class, zone=zone, translate=translate)
        if decision.volume == 0:
            return said
        local = local_time(utc_s, self._zone)
        verdict = self._regulation.judge_noise(local, message_class, decision.gain_db)
        return f"{said} {explain_noise(verdict, translate)}".strip()
