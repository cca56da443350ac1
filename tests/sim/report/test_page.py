"""The report page in a real browser, and what stands in it."""

import dataclasses
import html
import re
from html.parser import HTMLParser

from sim.report import page
from sim.report.files import write_files
from tests.sim.report.example_result import example_result

# Presses a heading twice, searches without diacritics, and says what the page then shows.
PRESS = """<script>
const table = document.getElementById("nodes");
const first = () => table.tBodies[0].rows[0].cells[0].textContent;
const told = [first()];
table.tHead.rows[0].cells[0].firstElementChild.click(); told.push(first());
table.tHead.rows[0].cells[0].firstElementChild.click(); told.push(first());
table.tHead.rows[0].cells[8].firstElementChild.click(); told.push(first());
const find = document.getElementById("find");
find.value = "thien tan"; find.dispatchEvent(new Event("input"));
told.push([...table.tBodies[0].rows].filter((row) => !row.hidden).length);
const sized = [...document.querySelectorAll("svg")].filter((s) => s.getBoundingClientRect().width);
told.push(sized.length);
told.push(document.documentElement.scrollWidth <= innerWidth);
const out = document.createElement("output"); out.id = "told"; out.textContent = told.join("|");
document.body.append(out);
</script></body>"""


class Addresses(HTMLParser):
    """Collects everything a page would fetch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href", "srcset")]


def test_the_page_shows_its_figures_in_a_browser_and_complains_of_nothing(browse, tmp_path):
    report = write_files(example_result(), tmp_path / "out")[0]
    report.write_text(report.read_text(encoding="utf-8").replace("</body>", PRESS))

    dom, complaints = browse(report)

    assert complaints == []
    told = re.search(r'<output id="told">(.*?)</output>', dom)
    assert told is not None, "the page's script stopped before its end"
    as_written, ascending, descending, most_lost, found, figures, fits = told[1].split("|")
    assert as_written == "c11", "the worst cluster comes first"
    assert (ascending, descending) == ("c00", "c11")
    assert most_lost == "c11", "a figure is sorted from its largest"
    assert found == "6", "a search without diacritics finds Thiện Tân"
    assert int(figures) >= 7, "map, distribution, stages, raster and three recordings"
    assert fits == "true", "nothing sticks out of the page"


def test_a_fault_in_the_script_would_be_noticed(browse, tmp_path):
    report = write_files(example_result(), tmp_path / "out")[0]
    broken = report.read_text(encoding="utf-8").replace('"use strict"', '"use strict";nowhere()')
    report.write_text(broken, encoding="utf-8")

    assert browse(report)[1] != []


def test_the_page_needs_nothing_but_the_sounds_beside_it():
    text = page(example_result())
    reader = Addresses()
    reader.feed(text)

    outside = [one for one in reader.found if not one.startswith("data:")]
    assert sorted(outside) == ["listen/best.wav", "listen/median.wav", "listen/worst.wav"]
    assert re.search(r"https?:|//[a-z]|@import|url\(", text) is None


def test_the_verdict_stands_first_and_the_proof_last():
    result = example_result()
    text = html.unescape(page(result))

    order = [
        result.verdict,
        "<h2>What was asked",
        "<h2>Where it broke up",
        "<h2>How late",
        "<h2>When it broke up",
        "<h2>Every cluster",
        "clock.ppm_sigma",
        result.scenario_hash,
        result.trace_hash,
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_every_cluster_has_its_line_and_its_place_on_the_map():
    result = example_result()
    text = page(result)

    for row in result.nodes:
        assert text.count(f'<tr data-node="{row.node}">') == 1
        assert text.count(f'<g data-node="{row.node}">') == 2, "once for a desk, once for a phone"


def test_names_from_a_scenario_cannot_break_the_page():
    result = example_result()
    nasty = '</script><img src=x onerror="alert(1)">&'
    rows = [dataclasses.replace(row, hamlet=nasty, commune=nasty) for row in result.nodes]
    text = page(dataclasses.replace(result, nodes=rows, verdict=nasty, title=nasty))

    assert "<img" not in text
    assert text.count("</script>") == 2


def test_a_village_that_heard_nothing_still_gets_its_page():
    result = example_result()
    silent = result.nodes[-1]
    rows = [dataclasses.replace(silent, node=row.node) for row in result.nodes]
    quiet = dataclasses.replace(
        result, nodes=rows, delay_quantiles_ms={}, listen={}, totals={"nodes": 12}
    )

    text = page(quiet)

    assert "0/12" in text
    assert "nothing played" in text


def test_one_cluster_alone_gets_its_page():
    result = example_result()
    alone = dataclasses.replace(
        result, nodes=result.nodes[:1], raster=result.raster[:1], listen={}, unverified=[]
    )
    text = page(alone)

    assert "1/1" in text
    assert "Every input of this run is marked as verified." in text


def test_communes_links_gateways_and_hamlets_each_have_their_line():
    result = example_result()
    text = page(result)

    for name in ("Thiện Tân", "Hữu Liên", "Fibre", "4G, weak", "pi_4b_usb", "Thôn 3"):
        assert f"<tr><td>{name}</td>" in text, name
    weak = next(group for group in result.groups if group.name == "lte_weak")
    cells = re.search(r"<tr><td>4G, weak</td>(.*?)</tr>", text)[1]
    assert f">{weak.mouth_to_ear_p99_ms:.0f}<" in cells
