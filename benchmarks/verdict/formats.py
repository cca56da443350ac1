"""The outcome of the gate for the tools that read it: test reports, pages, comments and trends.

====================  ==============================================================================
`gate.xml`            JUnit: a suite with one case per row, its figures as properties
`gate.md`             Markdown for the summary of a job: the worst first, all rows folded
`gate.comment.md`     the same, short enough for a comment on a pull request
`gate.annotations`    workflow commands with file and line of budgets.toml, ten at most
`gate.action.json`    github-action-benchmark, `customSmallerIsBetter`
`gate.bencher.json`   Bencher Metric Format
`gate.prom`           OpenMetrics text, for GitLab's metrics report
====================  ==============================================================================
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final
from xml.etree import ElementTree

from benchmarks.verdict.causes import ROWS_MAX, causes_of, figure, rerun
from benchmarks.verdict.outcome import FINGERPRINTS, Breach, Change, Outcome

ANNOTATIONS_MAX: Final = 10
"""What a job may show of one kind; more are dropped there without a word."""

MARKDOWN_BYTES_MAX: Final = 1 << 20
"""A job's summary is refused whole when it is larger."""

COMMENT_BYTES_MAX: Final = 65_000
"""A comment may have 65,536 characters, and is refused whole beyond that."""

_XML_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_LABEL_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_COMMAND_ESCAPES: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})


def files(outcome: Outcome, lines: dict[tuple[str, str], int], path: str) -> dict[str, bytes]:
    """Return all of the files above by name.

    Parameters
    ----------
    outcome : Outcome
        What the gate found.
    lines : dict
        Line of each (measurement, row) in the file of budgets.
    path : str
        That file's place in the repository.
    """
    texts = {
        "gate.md": markdown(outcome),
        "gate.comment.md": markdown(outcome, bytes_max=COMMENT_BYTES_MAX),
        "gate.annotations": "".join(f"{one}\n" for one in annotations(outcome, lines, path)),
        "gate.action.json": json.dumps(list(action_rows(outcome)), ensure_ascii=False, indent=1),
        "gate.bencher.json": json.dumps(bencher(outcome), ensure_ascii=False, indent=1),
        "gate.prom": open_metrics(outcome),
    }
    return {"gate.xml": junit(outcome)} | {name: text.encode() for name, text in texts.items()}


def junit(outcome: Outcome) -> bytes:
    """Return JUnit XML: per row a suite with its figures and one case, which fails for its faults.

    Notes
    -----
    Jenkins' schema (xunit-plugin, junit-10.xsd) knows properties of suites only, hence a suite for
    each row.
    """
    root = ElementTree.Element("testsuites", name=f"gate {outcome.length}")
    faults: dict[tuple[str, str], list[str]] = {}
    for breach in outcome.breaches:
        faults.setdefault((breach.measurement, breach.row), []).append(str(breach))
    meant: dict[tuple[str, str], list[str]] = {}
    for change in outcome.changes:
        told_in = meant if change.is_recorded else faults
        told_in.setdefault((change.measurement, change.row), []).append(_changed(change))
    measured = [(name, row) for name, rows in outcome.measured.items() for row in rows]
    for name, row in dict.fromkeys([*measured, *faults, *meant]):
        told = faults.get((name, row), [])
        suite = ElementTree.SubElement(
            root, "testsuite", name=_xml(f"{name} {row}"), tests="1", failures=str(int(bool(told)))
        )
        suite.set("errors", "0")
        inside = ElementTree.SubElement(suite, "properties")
        for measure, value in outcome.measured.get(name, {}).get(row, {}).items():
            ElementTree.SubElement(inside, "property", name=measure, value=figure(value))
        case = ElementTree.SubElement(suite, "testcase", classname=f"gate.{name}", name=_xml(row))
        if told:
            failure = ElementTree.SubElement(case, "failure", message=_xml(told[0]))
            failure.text = _xml("\n".join(told))
        if (name, row) in meant:
            ElementTree.SubElement(case, "system-out").text = _xml("\n".join(meant[name, row]))
    total = sum(1 for suite in root if suite.get("failures") != "0")
    root.set("tests", str(len(root)))
    root.set("failures", str(total))
    root.set("errors", "0")
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def markdown(outcome: Outcome, *, bytes_max: int = MARKDOWN_BYTES_MAX) -> str:
    """Return the summary of a job: verdict, causes, the worst broken budgets; the rest folded."""
    count = len(outcome.breaches)
    good = "holds" if outcome.is_good else "does not hold"
    lines = [
        f"## The gate {good}",
        "",
        f"{outcome.held - count} of {outcome.held} budgets hold; {outcome.differing_from_base}.",
        "",
    ]
    lines += [f"- {one}" for one in causes_of(outcome.changes)]
    lines += [f"- **over budget**: {one}" for one in outcome.breaches[:ROWS_MAX]]
    again = rerun(outcome)
    if again:
        lines += ["", f"One row again: `{again}`"]
    more = outcome.breaches[ROWS_MAX:]
    if more:
        lines += ["", f"<details><summary>{len(more)} more broken budgets</summary>", ""]
        lines += [*(f"- {one}" for one in more), "", "</details>"]
    meant = [one for one in outcome.changes if one.is_recorded]
    lines += _folded("Every figure that differs", outcome.unrecorded)
    lines += _folded("Every figure that differs and is recorded so in this tree", meant)
    return _cut(lines, bytes_max)


def annotations(outcome: Outcome, lines: dict[tuple[str, str], int], path: str) -> Iterator[str]:
    """Yield workflow commands that put the worst rows beside their budgets, ten at most."""
    told: list[Breach | Change] = [*outcome.breaches, *outcome.changes]
    seen: set[tuple[str, str]] = set()
    for one in told:
        key = (one.measurement, one.row)
        if key in seen or len(seen) == ANNOTATIONS_MAX:
            continue
        seen.add(key)
        text = str(one) if isinstance(one, Breach) else _changed(one)
        kind = "error" if isinstance(one, Breach) else "notice" if one.is_recorded else "warning"
        text = _CONTROL.sub("\ufffd", text).translate(_COMMAND_ESCAPES)
        yield f"::{kind} file={path},line={lines.get(key, 1)},title=gate::{text}"


def action_rows(outcome: Outcome) -> Iterator[dict[str, object]]:
    """Yield the rows of github-action-benchmark's `customSmallerIsBetter`."""
    for name, row, measure, value in _trends(outcome):
        yield {"name": f"{name}/{row}/{measure}", "unit": _unit(measure), "value": value}


def bencher(outcome: Outcome) -> dict[str, dict[str, dict[str, float]]]:
    """Return Bencher Metric Format: row to measure to value, with the budget as upper value."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, row, measure, value in _trends(outcome):
        one = {"value": value}
        limit = outcome.budgets.get(name, {}).get(row, {}).get(measure)
        if limit is not None:
            one["upper_value"] = limit
        found.setdefault(f"{name} {row}", {})[measure] = one
    return found


def open_metrics(outcome: Outcome) -> str:
    """Return OpenMetrics text: one gauge per measure, labelled with measurement and row."""
    families: dict[str, list[str]] = {}
    for name, row, measure, value in _figures(outcome):
        labels = f'measurement="{name}",row="{row.translate(_LABEL_ESCAPES)}"'
        families.setdefault(f"loalang_{measure}", []).append(f"{{{labels}}} {figure(value)}")
    lines = []
    for family, samples in families.items():
        lines.append(f"# TYPE {family} gauge")
        lines += [family + one for one in samples]
    return "\n".join([*lines, "# EOF"]) + "\n"


def _figures(outcome: Outcome) -> Iterator[tuple[str, str, str, float]]:
    for name, rows in outcome.measured.items():
        for row, figures in rows.items():
            for measure, value in figures.items():
                if value is not None:
                    yield name, row, measure, value


def _trends(outcome: Outcome) -> Iterator[tuple[str, str, str, float]]:
    """Yield the figures that are more or less: a fingerprint has no trend."""
    return (one for one in _figures(outcome) if one[2] not in FINGERPRINTS)


def _folded(title: str, changes: Sequence[Change]) -> list[str]:
    """Return the lines of a table that opens on request; none without changes."""
    if not changes:
        return []
    lines = ["", f"<details><summary>{title}</summary>", ""]
    lines += ["| row | figure | from | to |", "|---|---|---:|---:|"]
    lines += [
        f"| {one.measurement} {one.row} | {one.measure} "
        f"| {figure(one.before)} | {figure(one.after)} |"
        for one in changes
    ]
    return [*lines, "", "</details>"]


def _changed(one: Change) -> str:
    where = f"{one.measurement} [{one.row}] {one.measure}"
    recorded = "recorded: " if one.is_recorded else ""
    return f"{recorded}{where} {one.direction}: {figure(one.before)} -> {figure(one.after)}"


def _unit(measure: str) -> str:
    last = measure.rsplit("_", 1)[-1]
    return last if last in ("ms", "pct", "ppm", "hour", "seconds", "lu") else "count"


def _xml(text: str) -> str:
    return _XML_FORBIDDEN.sub("\ufffd", text)


def _cut(lines: list[str], bytes_max: int) -> str:
    """Return the lines as a text that is small enough, and says so where it is cut."""
    end = "\n\n</details>\n\n(cut: the rest is in out/benchmarks)\n"
    text: list[str] = []
    size = len(end)
    for line in lines:
        size += len(line.encode()) + 1
        if size > bytes_max:
            opened = sum(one.startswith("<details>") for one in text)
            is_open = opened > text.count("</details>")
            return "\n".join(text) + (end if is_open else end.replace("</details>\n\n", ""))
        text.append(line)
    return "\n".join(text) + "\n"
