"""Words and cells for the answer of a sweep, for the terminal and the page."""

import math
from typing import Final

from sim.sweep.interval import Estimate
from sim.sweep.odds import MEANS, Odds, VariantOdds

NAMES: Final = {
    "odds_heard": "95 % of clusters hear the programme whole",
    "odds_warned": "95 % of clusters are warned in time",
    "clusters_heard": "share of clusters that hear it whole",
    "clusters_warned": "share of clusters warned in time",
    "odds_households_heard": "95 % of households hear the programme whole",
    "odds_households_warned": "95 % of households are warned in time",
    "dropout_pct": "dropout, mean, %",
    "delay_p99_ms": "mouth to ear, p99 of the worst cluster, ms",
    "sim_kbit_s": "most of one cluster's SIM, kbit/s",
}


def sentences(odds: Odds) -> list[str]:
    """Return what a planner asked, answered: the best variant, and whether that is sure."""
    found = []
    for name, by_share in (("odds_heard", "clusters_heard"), ("odds_warned", "clusters_warned")):
        known = [one for one in odds.variants if name in one.figures]
        if not known:
            continue
        best = _best(known, name)
        if len(known) == 1:
            found.append(f"{NAMES[name]}: {percent(best.figures[name])}.")
            continue
        said = {one.figures[name].value for one in known}
        if len(said) > 1:
            found.append(f"{_said(name, best)}{_sure(known, name)}.")
            continue
        # Never or always, whatever the variant: the share of the clusters tells more.
        found.append(f"{NAMES[name]}: {percent(best.figures[name])} with each variant.")
        found.append(f"{_said(by_share, _best(known, by_share))}{_sure(known, by_share)}.")
    return found


def _best(known: list[VariantOdds], name: str) -> VariantOdds:
    return next(one for one in known if name not in one.against_best)


def _said(name: str, best: VariantOdds) -> str:
    return f"{NAMES[name]}: {percent(best.figures[name])} with {best.label}"


def percent(one: Estimate) -> str:
    """Return an estimate of a share for people, `74 % (70 to 78)`."""
    return f"{100 * one.value:.1f} % ({100 * one.low:.1f} to {100 * one.high:.1f})"


def foot(odds: Odds) -> str:
    """Return what the figures rest on, in one line."""
    villages = (
        f"{odds.villages} sampled villages" if odds.villages else "the village as it is written"
    )
    limits = ""
    if 0 < odds.with_households < odds.clusters:
        limits = f"; households are known of {odds.with_households} clusters, and of no others"
    if odds.recorded:
        limits += f"; the traces of {odds.recorded} clusters begin alike in each throw"
    return (
        f"{odds.throws} throws of each variant, {villages}, {odds.clusters} clusters{limits}; "
        f"warned: {_warned(odds)} within {odds.within_s} s; "
        f"intervals hold in {100 * odds.level:.0f} % of sweeps; {odds.stopped}"
    )


def heading(odds: Odds) -> list[str]:
    """Return the names of the variants."""
    return [one.label for one in odds.variants]


def rows(odds: Odds) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return (what, per variant: figure and difference to the first) of all that was measured."""
    return [
        (
            words,
            [
                (
                    cell(one.figures.get(name), name),
                    signed(one.against_first[name], name) if name in one.against_first else "",
                )
                for one in odds.variants
            ],
        )
        for name, words in NAMES.items()
        if any(name in one.figures for one in odds.variants)
    ]


def cell(one: Estimate | None, name: str) -> str:
    """Return a figure with its interval, a dash where it was not measured."""
    if one is None:
        return "–"
    if name in MEANS:
        return f"{one.value:.2f}{_bounds(one, '.2f')}"
    return percent(one)


def signed(one: Estimate | None, name: str) -> str:
    """Return a difference with its interval, shares in points of a hundred."""
    if one is None:
        return "–"
    scale = 1 if name in MEANS else 100
    if math.isinf(one.low):
        return f"{scale * one.value:+.2f}"
    return f"{scale * one.value:+.2f} ({scale * one.low:+.2f} to {scale * one.high:+.2f})"


def _bounds(one: Estimate, form: str) -> str:
    return "" if math.isinf(one.low) else f" ({one.low:{form}} to {one.high:{form}})"


def _warned(odds: Odds) -> str:
    if odds.is_day:
        return "the horn sounded, by the node's own controller,"
    return "the order is at a node with power, loud enough to be heard,"


def _sure(known: list[VariantOdds], name: str) -> str:
    """Return whether the best one is told apart from the others, over the same throws."""
    behind = [one for one in known if name in one.against_best]
    close = [one.label for one in behind if one.against_best[name].high >= 0]
    if not close:
        return ", surely more than with any other"
    more = f" and {len(close) - 4} more" if len(close) > 4 else ""
    return f"; not told apart from {', '.join(close[:4])}{more}"
