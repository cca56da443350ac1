"""The answer of a sweep for people and programs: one screen, one page, one JSON object."""

from sim.report.odds.effects import effects_json, effects_page, print_effects
from sim.report.odds.page import odds_page
from sim.report.odds.terminal import odds_json, print_odds

__all__ = [
    "effects_json",
    "effects_page",
    "odds_json",
    "odds_page",
    "print_effects",
    "print_odds",
]
