"""The bridge goes on with the nodes that the station lists now, and says seldom why it cannot."""

import pytest

from node.shell.faults import ShellError
from node.shell.station.assistant.bridge import NODES_MAX
from node.shell.station.assistant.entities import ALL, config_topic
from node.shell.station.assistant.listed import Listed
from node.shell.station.assistant.seldom import EACH_S, LINES, Seldom
from node.shell.station.cli import main
from node.shell.station.folder import NodeEntry, Station

AREA = "vn/lang-son/huu-lien"
SIREN = "siren"


@pytest.fixture
def station(tmp_path):
    folder = tmp_path / "station"
    asked = ("init", "--area", AREA, "--broker", "127.0.0.1:1", "--reload", "true")
    assert main([*asked, "--folder", str(folder)]) == 0
    keep(Station.open(folder), "coc-1")
    return Station.open(folder)


def keep(station, name, *, key=b"k" * 32):
    station.keep(NodeEntry(name=name, area=f"{AREA}/{name}", public_key=key))


def listed(station):
    return Listed(station, AREA, ("any",))


def test_a_node_that_is_accepted_later_is_offered_and_one_that_is_taken_back_is_cleared(station):
    one = listed(station)
    assert set(one.sites) == {"coc-1"} and config_topic(SIREN, ALL) in one.entries
    assert one.look() is None
    keep(station, "coc-2")
    told = dict(one.look())
    assert set(one.sites) == {"coc-1", "coc-2"} and one.look() is None
    assert b"coc-2" in told[config_topic(SIREN, "coc-2")] and len(told) == 2, "no other is told"
    keep(station, "coc-2", key=b"")
    told = dict(one.look())
    assert set(one.sites) == {"coc-1"} and set(told.values()) == {b""} and len(told) == 2
    (station.nodes_folder / "coc-1.json").unlink()
    assert dict(one.look())[config_topic(SIREN, "coc-1")] == b"" and one.sites == {}


def test_a_node_that_was_taken_back_while_no_bridge_ran_is_cleared_by_the_next_one(station):
    keep(station, "coc-1", key=b"")
    assert listed(station).entries[config_topic(SIREN, "coc-1")] == b""


def test_a_gateway_that_took_anothers_place_is_another_node(station):
    one = listed(station)
    keep(station, "coc-1", key=b"n" * 32)
    assert one.look() == [], "it is offered as before"
    assert one.sites["coc-1"].pole.public_key == b"n" * 32


@pytest.mark.parametrize("how", ["spoilt", "away", "many"])
def test_a_list_that_cannot_be_used_is_said_once_and_the_one_before_holds(station, how):
    one, folder = listed(station), station.nodes_folder
    if how == "spoilt":
        (folder / "coc-2.json").write_text("{")
    elif how == "away":
        folder.rename(folder.with_name("elsewhere"))
    else:
        text = (folder / "coc-1.json").read_text()
        for number in range(NODES_MAX):
            (folder / f"n{number}.json").write_text(text.replace("coc-1", f"n{number}"))
    with pytest.raises(ShellError):
        one.look()
    assert one.look() is None and set(one.sites) == {"coc-1"}
    if how == "away":
        folder.with_name("elsewhere").rename(folder)
        assert one.look() is None, "the list is the same"
        keep(station, "coc-3")
        assert dict(one.look())[config_topic(SIREN, "coc-3")]


def test_the_nodes_may_lie_apart_from_the_station_as_its_unit_gives_them(station, tmp_path):
    apart = tmp_path / "apart"
    station.nodes_folder.rename(apart)
    one = listed(Station.open(station.folder, apart))
    assert set(one.sites) == {"coc-1"}
    (apart / "coc-2.json").write_text((apart / "coc-1.json").read_text().replace("coc-1", "coc-2"))
    assert one.look() and set(one.sites) == {"coc-1", "coc-2"}


def test_a_broker_that_is_away_for_a_day_is_said_once_and_then_with_how_often_it_was_tried():
    seldom = Seldom()
    said = [(s, line) for s in range(0, 86_400, 3) if (line := seldom.failed("is away", s))]
    assert said[0] == (0, "is away") and len(said) == 86_400 / EACH_S
    assert said[1] == (EACH_S, "is away (100 attempts in 300 s)")
    assert seldom.served("offered") == "offered" and seldom.served("offered") is None
    assert seldom.failed("is away", 86_500) == "is away (100 attempts in 400 s)"


def test_a_broker_that_comes_and_goes_or_says_something_else_each_time_does_not_fill_the_journal():
    for way in ("flaps", "another text"):
        seldom, lines = Seldom(), 0
        for s in range(0, 3600, 2):
            lines += seldom.failed("gone" if way == "flaps" else f"gone {s}", s) is not None
            lines += way == "flaps" and seldom.served("offered") is not None
        most, each_s = LINES
        most_lines = (most + 3600 / each_s) * (2 if way == "flaps" else 1)
        assert 3600 / each_s <= lines <= most_lines
        assert seldom.failed("another", 3600 + each_s), "what is new is said within a minute"
        assert seldom.served("offered") is not None, "that it is served is always said"
