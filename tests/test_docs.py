"""Pages that are made from what the code runs are what the code says today.

`LOALANG_DOCS=write pytest tests/test_docs.py` writes them anew.
"""

import ast
import inspect
import os
import re
import textwrap
import tomllib
from enum import IntEnum

import pytest

from node.control.precedence import PriorityConfig, matrix
from node.counters import Count, Origin
from node.shell.commands.describe import reference
from sim.village.faults import AT_POLES, KINDS
from tests import diagrams
from tests.house import ROOT, sources

DOCS = ROOT / "docs"


def table_of(kind: type[IntEnum]) -> str:
    """The members of an enumeration and the sentence below each."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    rows: list[list[str]] = []
    for part in body.body[1:]:
        if isinstance(part, ast.Assign):
            rows.append([part.targets[0].id.lower(), ""])
        elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant):
            rows[-1][1] = " ".join(part.value.value.split())
    assert [name for name, _ in rows] == [one.name.lower() for one in kind]
    lines = ["| name | means |", "|---|---|", *(f"| `{name}` | {text} |" for name, text in rows)]
    return "\n".join(lines)


def matrix_of_two_tiers() -> str:
    rules = PriorityConfig(tiers=("province", "commune"))
    return f"```\n{matrix(rules)}\n```"


def table_of_faults() -> str:
    """What a kind of fault means, what a row of it says, and who lives it."""
    lines = ["| `kind` | means | takes | run | sweep |", "|---|---|---|---|---|"]
    for name, one in KINDS.items():
        takes = [f"`{field}`" for field in one.takes]
        if "backhaul" in one.places:
            takes.append("at a backhaul too")
        elif one.places != AT_POLES:
            takes.append(f"place: {', '.join(one.places) or 'none'}")
        if not one.lasts:
            takes.append("a moment")
        run = ("drive, fleet" if one.fleet else "drive") if one.run else ""
        sweep = "warning" if one.sweep else ""
        lines.append(f"| `{name}` | {one.means} | {'; '.join(takes)} | {run} | {sweep} |")
    return "\n".join(lines) + (
        "\n\nIn `sweep --only warning` a link is down both ways, and the broker comes back with "
        'its database; tier fleet knows no `way = "up"`.'
    )


MADE = {
    "faults": ("scenario.md", table_of_faults),
    "phases": ("architecture.md", diagrams.jitter_buffer),
    "horn": ("architecture.md", diagrams.arbiter),
    "matrix": ("architecture.md", matrix_of_two_tiers),
    "counts": ("silent.md", lambda: table_of(Count)),
    "origins": ("silent.md", lambda: table_of(Origin)),
}


def test_every_fate_and_every_origin_has_a_sentence():
    rows = [*table_of(Count).splitlines(), *table_of(Origin).splitlines()]
    assert [row for row in rows if row.endswith("|  |")] == []


def is_written() -> bool:
    return os.environ.get("LOALANG_DOCS") == "write"


def test_the_reference_of_settings_is_what_describe_prints():
    path = DOCS / "configuration.md"
    if is_written():
        path.write_text(reference(), encoding="utf-8")
    assert path.read_text(encoding="utf-8") == reference()


def test_every_setting_has_a_sentence():
    assert [line for line in reference().splitlines() if line.endswith("|  |")] == []


@pytest.mark.parametrize("what", MADE)
def test_a_table_in_the_documentation_is_the_one_that_the_code_runs(what):
    name, make = MADE[what]
    path = DOCS / name
    text = path.read_text(encoding="utf-8")
    begin = text.index(f"<!-- {what} -->\n") + len(f"<!-- {what} -->\n")
    end = text.index("<!-- end -->", begin)
    if is_written():
        text = f"{text[:begin]}{make()}\n{text[end:]}"
        path.write_text(text, encoding="utf-8")
        end = text.index("<!-- end -->", begin)
    assert text[begin:end] == f"{make()}\n"


def test_every_packet_of_ours_and_every_topic_is_on_the_page_of_the_wire():
    sources_of_node = "\n".join(one.text for one in sources("node"))
    ours = set(re.findall(r'b"(Loa[A-Z])"', sources_of_node))
    topics = set(re.findall(r"/node/%u/([a-z-]+)", sources_of_node))
    topics |= set(re.findall(r'Publish\("([a-z-]+)"', sources_of_node))
    assert {"LoaN", "LoaJ"} <= ours
    assert {"state", "audit"} <= topics
    wire = (DOCS / "wire.md").read_text(encoding="utf-8")
    broker = (DOCS / "broker.md").read_text(encoding="utf-8")
    assert [name for name in sorted(ours) if f"| `{name}`" not in wire] == []
    assert [one for one in sorted(topics) if f"{one}`" not in wire or f"{one}`" not in broker] == []


def test_the_tower_in_the_documentation_is_the_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = contracts["contracts"][-1]["layers"]
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    drawn = re.search(r"```\n(.*?)```", text, re.DOTALL)[1]
    assert [re.split(r" {4,}", line)[0].strip() for line in drawn.splitlines()] == layers


def test_every_page_is_reached_from_the_readme_or_from_another_page():
    pages = {path.name for path in DOCS.glob("*.md")}
    texts = [(ROOT / "README.md").read_text(encoding="utf-8")]
    texts += [path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")]
    linked = {name for text in texts for name in re.findall(r"\]\((?:docs/)?([\w-]+\.md)", text)}
    assert pages <= linked


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=str)
def test_every_link_leads_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (path.parent / target).exists(), target
