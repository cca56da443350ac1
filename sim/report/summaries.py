"""The budgets of a run for machines and reviews: JUnit XML and Markdown."""

import io
from xml.etree import ElementTree

from sim.day.verdict import (
    calendar_sentence,
    sentence_of,
    strangers_sentence,
    unmet_lines,
    warned_groups,
    warned_lines,
)
from sim.report.budgets import Outcome, amount, judge
from sim.result.day import UNWARNED, WARNED, DayOrder
from sim.result.run import RunResult


def junit(result: RunResult) -> bytes:
    """Return JUnit XML: one test case per budget, its figures as properties.

    A broken budget is a failure that names the clusters, worst first.
    """
    outcomes = judge(result)
    warnings = {} if result.day is None else warned_groups(result.day)
    plain = _plain_cases(result)
    broken = sum(not one.holds for one in outcomes)
    broken += sum(bool(message) for message, _ in plain.values())
    broken += sum(any(one.fate != "heard" for one in rows) for rows in warnings.values())
    suite = ElementTree.Element(
        "testsuite",
        name=f"loalang.{result.scenario}",
        tests=str(len(warnings) + len(plain) + len(outcomes)),
        failures=str(broken),
        errors="0",
        skipped="0",
    )
    _properties(suite, result)
    for name, rows in warnings.items():
        _warning_case(suite, result, name, rows)
    for name, (message, lines) in plain.items():
        _plain_case(suite, result, name, message, lines)
    for one in outcomes:
        _case(suite, result.scenario, one)
    ElementTree.indent(suite)
    target = io.BytesIO()
    ElementTree.ElementTree(suite).write(target, encoding="utf-8", xml_declaration=True)
    return target.getvalue() + b"\n"


def markdown(result: RunResult) -> str:
    """Return a summary of the budgets as Markdown, for a pull request or a build page."""
    warned = [] if result.day is None else warned_lines(result.day)
    lines = [
        f"### {result.scenario}: {result.verdict}",
        "",
        *(f"- {line}" for line in warned),
        *([""] if warned else []),
        "| budget | limit | worst | cluster | holds |",
        "|---|--:|--:|---|---|",
    ]
    for one in judge(result):
        unit = one.budget.unit
        limit = f"{amount(one.budget.limit, unit)} {unit}"
        worst = f"{amount(one.worst, unit)} {unit}"
        beyond = "not known" if one.worst is None else f"**no**, {len(one.broken_by)} beyond"
        holds = "yes" if one.holds else beyond
        place = one.worst_node if one.worst else ""
        lines.append(f"| {one.budget.sentence} | {limit} | {worst} | {place} | {holds} |")
    lines += [
        "",
        f"seed {result.seed}, {result.duration_s:g} s, {len(result.nodes)} clusters, "
        f"scenario hash `{result.scenario_hash}`, trace hash `{result.trace_hash}`",
        "",
    ]
    return "\n".join(lines)


def _properties(suite: ElementTree.Element, result: RunResult) -> None:
    """Add what tells one run from another, and what its data cost."""
    names = ("seed", "duration_s", "scenario_hash", "trace_hash", "verdict")
    values = {name: str(getattr(result, name)) for name in names}
    if result.nodes:
        values["data"] = result.data_line()
    if result.day is not None:
        values |= {"date": result.day.date, "zone": result.day.zone}
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in values.items():
        ElementTree.SubElement(properties, "property", name=name, value=value)


def _warning_case(
    suite: ElementTree.Element, result: RunResult, name: str, rows: list[DayOrder]
) -> None:
    """Add a case for one warning: it fails with every cluster that did not hear it whole in time.

    The clusters stand hamlet by hamlet, each with its fate.
    """
    assert result.day is not None, "warnings are of a day"
    fates = {fate: sum(one.fate == fate for one in rows) for fate in (*WARNED, *UNWARNED)}
    case = ElementTree.SubElement(
        suite, "testcase", classname=f"loalang.{result.scenario}", name=name, time="0"
    )
    properties = ElementTree.SubElement(case, "properties")
    for fate, count in fates.items():
        ElementTree.SubElement(properties, "property", name=fate, value=str(count))
    if fates["heard"] != len(rows):
        message = sentence_of(result.day, rows)
        failure = ElementTree.SubElement(case, "failure", message=message)
        failure.text = "\n".join(
            line for line in warned_lines(result.day) if line.startswith(f"{name},")
        )


def _plain_cases(result: RunResult) -> dict[str, tuple[str, list[str]]]:
    """Return by its name what is no budget and no warning: what is wrong, if anything, and more."""
    found: dict[str, tuple[str, list[str]]] = {}
    day = result.day
    if day is not None and day.totals["strangers_orders"]:
        found["strangers"] = (strangers_sentence(day), [])
    if day is not None and any(not one.item.startswith("#") for one in day.items):
        found["calendar"] = (calendar_sentence(day), [])
    if day is not None and (unmet := unmet_lines(day)):
        found["orders"] = ("not obeyed everywhere", unmet)
    if result.capacity:
        over = [one.said() for one in result.capacity if one.over]
        found["capacity"] = ("does not fit" if over else "", over)
    return found


def _plain_case(
    suite: ElementTree.Element, result: RunResult, name: str, message: str, lines: list[str]
) -> None:
    """Add a case that fails where there is a message; `lines` say more."""
    case = ElementTree.SubElement(
        suite, "testcase", classname=f"loalang.{result.scenario}", name=name, time="0"
    )
    if message:
        failure = ElementTree.SubElement(case, "failure", message=message)
        failure.text = "\n".join(lines)


def _case(suite: ElementTree.Element, scenario: str, one: Outcome) -> None:
    budget = one.budget
    case = ElementTree.SubElement(
        suite, "testcase", classname=f"loalang.{scenario}", name=budget.name, time="0"
    )
    properties = ElementTree.SubElement(case, "properties")
    figures = {
        "limit": repr(budget.limit),
        "worst": repr(one.worst),
        "worst_node": one.worst_node or "",
        "unit": budget.unit,
    }
    for name, value in figures.items():
        ElementTree.SubElement(properties, "property", name=name, value=value)
    if not one.holds:
        message = f"{budget.sentence}: {len(one.broken_by)} beyond {budget.limit:g} {budget.unit}"
        if one.worst is None:
            message = f"{budget.sentence}: not known: {one.unknown}"
        failure = ElementTree.SubElement(case, "failure", message=message)
        failure.text = "\n".join(one.broken_by)
