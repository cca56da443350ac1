"""The playable page: what stands in it is what happened, and a real browser plays it."""

import base64
import io
import json
import re
from dataclasses import replace

import av
import numpy as np
import pytest

from node.counters import Origin
from node.units import NS_PER_S
from sim import cli
from sim.drive import run as drive
from sim.replay.moments import KEPT_MAX, NOTHING, STRETCH_S, Recorder
from sim.replay.page import SOUNDS_MAX, heard_poles, replay_page
from sim.village import scenario
from tests.sim.report.example_result import example_result
from tests.sim.villages import DOAI, village

VILLAGE = village(
    {
        ("Thôn Đoài", 0, 0): DOAI,
        ("Thôn Hạ", 900, 400): (
            ("h-01", "pi_4b_i2s", "ftth", 0, 0),
            ("h-02", "pi_5_i2s", "ftth", 100, 80),
        ),
    },
    duration_s=9.0,
    more="""
[[faults]]
kind = "power_cut"
hamlet = "Thôn Hạ"
from_s = 3.0
until_s = 60.0
[[faults]]
kind = "link_down"
bearer = "lte_good"
from_s = 5.0
until_s = 6.0
""",
)

# Scrubs, plays, presses keys, chooses a pole on the map, loads its sound; says what it saw.
PRESS = """<script>
const $ = (id) => document.getElementById(id), told = {};
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const clock = () => $("clock").textContent;
(async () => {
  await wait(300);
  const scrub = (s) => { $("scrub").value = s; $("scrub").dispatchEvent(new Event("input")); };
  const maps = [...document.querySelectorAll(".stage canvas")];
  const ink = () => maps.find((one) => one.width > 300).toDataURL();
  scrub(1); const before = ink(); told.at_1 = clock(); told.now_1 = $("now").textContent;
  scrub(5.5); told.at_5 = clock(); told.now_5 = $("now").textContent; told.drawn = before !== ink();
  told.faults = [...document.querySelectorAll(".faults li.on")].length;
  press("Home"); told.home = clock(); press("ArrowRight"); told.right = clock();
  press("n"); told.next = clock();
  const sound = $("sound");
  if (sound.src && !sound.readyState) await new Promise((done) => sound.onloadedmetadata = done);
  told.sound_s = sound.duration; told.error = sound.error && sound.error.message;
  const other = document.querySelector('.stage g[data-node="d-02"]');
  other.dispatchEvent(new MouseEvent("click"));
  told.chosen = $("said").textContent;
  press("Home"); $("play").click(); told.playing = $("play").getAttribute("aria-label");
  for (let i = 0; i < 30 && clock() === "0:00.0"; i++) await wait(100);
  await wait(700);
  told.sounding = !sound.paused; told.heard_s = sound.currentTime;
  told.after = clock(); $("play").click(); told.paused = $("play").getAttribute("aria-label");
  told.fits = document.documentElement.scrollWidth <= innerWidth;
  const out = document.createElement("output"); out.id = "told";
  out.textContent = JSON.stringify(told);
  document.body.append(out);
})();
</script></body>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return what `run --replay` left of a small village with two faults."""
    place = tmp_path_factory.mktemp("replay")
    (place / "village.toml").write_text(VILLAGE, encoding="utf-8")
    arguments = ["run", str(place / "village.toml"), "--replay", "--out", str(place / "out")]
    assert cli.main(arguments) == 0
    return place


@pytest.fixture(scope="module")
def village(folder):
    """Return the village, its answer and its worst moments."""
    asked = scenario.load(str(folder / "village.toml"))
    return asked, *recorded(asked)


def recorded(asked):
    recorder = Recorder(asked)
    result = drive.run(asked, decode=False, watcher=recorder.watch)
    return result, recorder.worst(result)


def pressed(page, until_told):
    """Return the page with the script in it, loaded when that has ended."""
    press = PRESS.replace("})();", f'new Image().src = "{until_told}/told";\n}})();')
    text = page.read_text(encoding="utf-8")
    return text.replace("</body>", f'<img src="{until_told}/held">{press}')


def at(moments, second):
    return moments.origin[:, round((second - moments.start_s) / moments.frame_s)]


def test_a_pole_without_power_gives_nothing_and_one_without_link_falls_silent(village):
    _, result, moments = village
    nodes = [row.node for row in result.nodes]
    assert nodes == ["d-01", "d-02", "h-01", "h-02"]
    assert (at(moments, 2.0) == Origin.RECEIVED).all()
    assert (at(moments, 4.0) == [Origin.RECEIVED, Origin.RECEIVED, NOTHING, NOTHING]).all()
    assert at(moments, 5.8)[1] == Origin.SILENT
    assert at(moments, 8.0)[1] == Origin.RECEIVED
    told = {(one.kind, one.from_s, one.poles) for one in moments.faults}
    assert told == {("no power", 3.0, (2, 3)), ("no link", 5.0, (1,))}


def test_every_packet_of_the_stretch_came_or_is_shown_as_lost(village):
    _, result, moments = village
    packets = moments.arrived.astype(int).sum(axis=1) + moments.lost.astype(int).sum(axis=1)
    # Those on their way when it begins or ends are in it once, twice or not at all.
    assert (abs(packets - [row.packets_sent for row in result.nodes]) <= 3).all()
    assert moments.lost[1].sum() == pytest.approx(50, abs=3), "a second without link"


def test_the_worst_stretch_of_a_long_run_is_the_one_that_is_played(village):
    asked, _, _ = village
    _, moments = recorded(replace(asked, duration_s=200.0))
    assert moments.length_s == STRETCH_S
    assert moments.start_s <= 5.0, "the faults are in it"


def test_a_day_of_a_large_village_is_kept_in_bounded_memory_by_longer_frames():
    asked = scenario.load("huu_lung_six")
    poles = sum(1 for _ in asked.clusters())
    fits_s = KEPT_MAX // poles / 10 - 10.0
    assert Recorder(replace(asked, duration_s=fits_s)).frame_ns == NS_PER_S // 10
    day = replace(asked, duration_s=86_400.0)
    frame_s = Recorder(day).frame_ns / NS_PER_S
    assert poles * day.duration_s / frame_s <= KEPT_MAX < poles * day.duration_s * 10


def test_a_browser_scrubs_and_plays_it_and_loads_the_sound(browse, until_told, folder):
    page = folder / "out" / "replay.html"
    tried = folder / "tried.html"
    tried.write_text(pressed(page, until_told), encoding="utf-8")
    # Its clicks are a script's, and no person's: a browser lets only those make a sound.
    by_script = "--autoplay-policy=no-user-gesture-required"
    dom, complaints = browse(tried, by_script, real_time=True)
    assert complaints == []
    found = re.search(r'<output id="told">(.*?)</output>', dom)
    assert found is not None, "the page's script stopped before its end"
    told = json.loads(found[1])
    assert (told["at_1"], told["at_5"]) == ("0:01.0", "0:05.5")
    assert told["drawn"], "the map shows another moment"
    assert told["now_1"].startswith("Of 4 poles: 4 sound as sent.")
    assert "1 sound as sent, 1 silent, 2 nothing" in told["now_5"]
    assert told["faults"] == 2
    assert (told["home"], told["right"]) == ("0:00.0", "0:01.0")
    assert told["next"] == "0:03.0", "the next break is where the power went"
    assert told["error"] is None
    assert told["sound_s"] == pytest.approx(9.3, abs=0.2)
    assert told["chosen"].startswith("d-02, Thôn Đoài, Yên Sơn")
    assert (told["playing"], told["paused"]) == ("Pause", "Play")
    assert told["after"] > "0:00.0", "it went on"
    assert told["sounding"]
    assert told["heard_s"] == pytest.approx(float(told["after"].partition(":")[2]), abs=0.3)
    assert told["fits"]


def test_the_page_opens_at_the_pole_that_heard_the_least(folder, village):
    _, result, _ = village
    text = (folder / "out" / "replay.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    worst = max(result.nodes, key=lambda row: row.dropout_pct)
    assert worst.node != result.nodes[0].node
    assert data["poles"][data["first"]]["node"] == worst.node


def test_on_a_telephone_nothing_sticks_out(browse, folder):
    page = folder / "out" / "replay.html"
    tried = folder / "phone.html"
    tried.write_text(page.read_text(encoding="utf-8").replace("</body>", PRESS), encoding="utf-8")
    dom, complaints = browse(tried, "--virtual-time-budget=20000", "--window-size=500,844")
    assert complaints == []
    assert '"fits":true' in dom


def test_the_page_needs_nothing_else_and_has_the_sound_of_its_poles(folder, village):
    text = (folder / "out" / "replay.html").read_text(encoding="utf-8")
    assert re.findall(r"""(?:src|href|srcset)=["']([^"']*)""", text) == ["data:,"]
    assert re.search(r"https?:|@import|url\(", text) is None
    sounds = json.loads(re.search(r'id="sounds">(.*?)</script>', text)[1])
    assert sorted(sounds["by_pole"]) == ["0", "1", "2", "3"]
    with av.open(io.BytesIO(base64.b64decode(sounds["by_pole"]["2"]))) as container:
        heard = np.concatenate([one.to_ndarray()[0] for one in container.decode(audio=0)])
    assert np.abs(heard[48_000 : 2 * 48_000]).max() > 0.01
    assert np.abs(heard[5 * 48_000 :]).max() < 0.001, "without power it is silent"


def test_names_from_a_scenario_cannot_break_the_page(village):
    _, result, moments = village
    nasty = '</script><img src=x onerror="alert(1)">&'
    rows = [replace(row, hamlet=nasty, cluster=nasty, commune=nasty) for row in result.nodes]
    text = replay_page(replace(result, nodes=rows, verdict=nasty, title=nasty), moments, {})
    assert "<img" not in text
    assert text.count("</script>") == 3


def test_of_a_large_village_some_poles_are_heard_and_none_that_played_nothing():
    result = example_result(nodes=40)
    heard = heard_poles(result)
    assert len(heard) == SOUNDS_MAX == len(set(heard))
    assert result.nodes[0].node in heard, "the best"
    assert result.nodes[-1].node not in heard, "it played nothing"


def test_without_sound_the_page_plays_by_the_clock_and_says_so(
    tmp_path, folder, browse, until_told
):
    arguments = ["run", str(folder / "village.toml"), "--replay", "--no-sound", "--out"]
    assert cli.main([*arguments, str(tmp_path)]) == 0
    page = tmp_path / "replay.html"
    page.write_text(pressed(page, until_told), encoding="utf-8")
    dom, complaints = browse(page, real_time=True)
    assert complaints == []
    assert "its sound is not in this page" in dom
    told = json.loads(re.search(r'<output id="told">(.*?)</output>', dom)[1])
    assert "0:00.0" < told["after"] < "0:09"
