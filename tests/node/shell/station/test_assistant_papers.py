"""What lets Home Assistant order is made whole or not at all, and is narrower than the commune."""

import tomllib

import pytest

from node.control.precedence import MessageClass
from node.control.trust.message import Kind
from node.control.trust.signature import SeedSigner
from node.shell.faults import ShellError
from node.shell.station import broker_files
from node.shell.station.accept import settings_for
from node.shell.station.assistant import papers
from node.shell.station.assistant.bridge import NODES_MAX
from node.shell.station.assistant.orders import Orders, plan_text
from node.shell.station.cli import main
from node.shell.station.folder import NodeEntry, Station

AREA = "vn/lang-son/huu-lien"
PHRASES = """
[control.alert.phrases.any]
siren = "{digest}"
[control.alert.phrases.FFW]
siren = "{digest}"
[control.alert.phrases.much-too-long]
siren = "{digest}"
"""
MANY_QUIET_HOURS = (
    """
[[control.volume.quiet_hours]]
name = "night"
volume_max = 20
start = "22:00"
end = "05:00"
"""
    * 200
)


@pytest.fixture
def station(tmp_path):
    """A station whose broker is nowhere."""
    folder = tmp_path / "station"
    asked = ("init", "--area", AREA, "--broker", "127.0.0.1:1", "--reload", "true")
    assert main([*asked, "--folder", str(folder)]) == 0
    (folder / "node.toml").write_text(PHRASES.format(digest="0" * 64))
    return Station.open(folder)


def does(station, *words):
    return main(["home-assistant", *words, "--folder", str(station.folder)])


def test_without_enable_nothing_runs_and_the_brokers_list_knows_nobody(station, capsys):
    assert does(station, "run") == 2
    assert "home-assistant enable" in capsys.readouterr().err
    assert does(station, "disable") == 2
    assert "assistant/v1" not in (station.broker_folder / "acl").read_text()


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("", "control.alert.phrases"),
        ("[control.alert.phrases.much-too-long]\n", "control.alert.phrases"),
        ("control", "not TOML"),
        (PHRASES + "[control.volume]\nzone = 1\n", "zone"),
        (PHRASES + "[control.volume]\nemergency_floor = 900\n", "0 to 100"),
        (PHRASES + MANY_QUIET_HOURS, "there is place for"),
    ],
)
def test_what_would_be_silent_or_refused_is_said_in_a_line_and_leaves_nothing(
    station, capsys, table, told
):
    (station.folder / "node.toml").write_text(table)
    assert does(station, "enable") == 2
    said = capsys.readouterr().err
    assert told in said and len(said.splitlines()) == 1
    assert not (station.folder / papers.FOLDER).exists()


@pytest.mark.parametrize(
    "area", ["vn/lang-son", "vn/lang-son/huu", "vn//x", "/", f"{AREA}/{'x' * 128}"]
)
def test_an_area_that_is_not_the_communes_is_refused(station, capsys, area):
    assert does(station, "enable", "--area", area) == 2
    assert AREA in capsys.readouterr().err


def test_the_certificate_is_of_the_lowest_tier_one_class_and_area_and_gives_no_time(station):
    narrow = f"{AREA}/lang-coc"
    for words, area, most in (
        ((), AREA, MessageClass.PRIORITY),
        (("--class", "urgent", "--area", narrow), narrow, MessageClass.URGENT),
    ):
        assert does(station, "enable", *words) == 1, "its broker is not there"
        claim = papers.read_claim(station)
        assert (claim.tier, claim.area, claim.class_max) == ("hamlet", area, most)
        assert claim.gives_time is False
        assert claim.public_key == papers.signer_of(station).public_key, "its key stays"
    offer = papers.read_offer(station)
    assert offer.tones == ("any", "FFW")


def test_a_secret_is_its_owners_and_the_list_has_home_assistant_once(station):
    assert does(station, "enable") == 1
    assert does(station, "enable") == 1
    for place in (papers.FOLDER, papers.LOGIN):
        assert (station.folder / place).stat().st_mode & 0o077 == 0
        for one in (station.folder / place).glob("*.key"):
            assert one.stat().st_mode & 0o077 == 0
    acl = (station.broker_folder / "acl").read_text()
    assert acl.count(f"user {broker_files.ASSISTANT}") == 1
    before = broker_files.access_list(station.about.village)
    assert broker_files.without_assistant(acl) == before
    assert broker_files.without_assistant(before) == before
    own = "user somebody\ntopic read x\n"
    assert broker_files.without_assistant(acl + own) == before + own


def test_the_plan_of_the_commune_goes_before_that_of_the_node_and_its_rules_are_left_out(station):
    (station.folder / "plans" / "volume.toml").write_text(
        """
zone = "Asia/Ho_Chi_Minh"
volume = 60
emergency_floor = 90
class_offset = { priority = 5 }
[[rules]]
name = "market \\"day\\""
volume = 30
on = { weekdays = ["sat"] }
[[quiet_hours]]
name = "giấc ngủ"
volume_max = 20
start = "22:00"
end = "05:00"
"""
    )
    assert does(station, "enable") == 1
    plan = papers.read_offer(station).volume
    assert set(plan) == {"zone", "emergency_floor", "class_offset", "quiet_hours"}
    assert tomllib.loads(plan_text(plan)) == plan
    orders = Orders(SeedSigner(b"k" * 32), MessageClass.PRIORITY, plan)
    sealed = orders.volume(AREA, 40, 1)
    assert sealed.message.kind is Kind.VOLUME
    assert tomllib.loads(sealed.message.content.decode()) == plan | {"volume": 40}


def test_only_nodes_of_the_area_are_offered_and_no_more_than_a_bridge_can_have(station):
    nodes = station.folder / "nodes"
    for name, area in (("coc-1", f"{AREA}/lang-coc/coc-1"), ("ba-1", f"{AREA}/lang-ba/ba-1")):
        station.keep(NodeEntry(name=name, area=area, public_key=b"k" * 32))
    station.keep(NodeEntry(name="gone", area=f"{AREA}/lang-coc/gone"))
    station.keep(NodeEntry(name="far", area=f"{AREA}/{'x' * 128}", public_key=b"k" * 32))
    with pytest.raises(ShellError, match="far: its area"):
        papers.sites_of(station, AREA)
    (nodes / "far.json").unlink()
    assert set(papers.sites_of(station, f"{AREA}/lang-coc")) == {"coc-1"}
    assert set(papers.sites_of(station, AREA)) == {"coc-1", "ba-1"}
    text = (nodes / "coc-1.json").read_text()
    for number in range(NODES_MAX - 1):
        (nodes / f"n{number}.json").write_text(text.replace("coc-1", f"n{number}"))
    with pytest.raises(ShellError, match="narrower --area"):
        papers.sites_of(station, AREA)


def test_nodes_announce_themselves_to_home_assistant_where_it_is_let_in(station):
    entry = NodeEntry(name="coc-1", area=f"{AREA}/coc-1", public_key=b"k" * 32)
    assert "home_assistant" not in settings_for(station, entry)
    assert does(station, "enable") == 1
    table = tomllib.loads(settings_for(station, entry))
    assert table["mqtt"]["home_assistant"] == "homeassistant"
