"""A new station: what its nodes warn with is kept and named at once, or nothing is made."""

import tomllib
from pathlib import Path

import pytest

from node.shell.station.cli import main

SPEECH = Path(__file__).resolve().parents[4] / "sim" / "speech"
SIREN = min(SPEECH.glob("siren.*.opus"))
WORDS = min(SPEECH.glob("announcement_vi.*.opus"), key=lambda one: len(one.name))
ASKED = ("init", "--area", "vn/lang-son/huu-lien", "--broker", "station.example.vn")


def test_siren_and_words_of_a_new_station_are_kept_and_named_with_their_lengths(tmp_path):
    given = ("--siren", str(SIREN), "--words", f"vi={WORDS}", "--words", f"zh-Hans={SIREN}")
    assert main([*ASKED, *given, "--folder", str(tmp_path)]) == 0
    shared = tomllib.loads((tmp_path / "node.toml").read_text())
    phrase = shared["control"]["alert"]["phrases"]["any"]
    kept = {one.stem: one.read_bytes() for one in (tmp_path / "media").glob("*.opus")}
    assert kept[phrase["siren"]] == SIREN.read_bytes()
    assert kept[phrase["text"]["vi"]] == WORDS.read_bytes()
    assert phrase["text"]["zh-Hans"] == phrase["siren"]
    assert (phrase["siren_s"], phrase["text_s"]) == (10, 19), "as long as the longest words"
    assert len(list((tmp_path / "media").glob("*.sentences"))) == 2


def test_without_a_siren_the_station_is_made_and_says_how_to_name_one(tmp_path):
    assert main([*ASKED, "--folder", str(tmp_path)]) == 0
    assert "# siren = " in (tmp_path / "node.toml").read_text()
    assert list((tmp_path / "media").iterdir()) == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--words", f"vi={WORDS}"), "--siren"),
        (("--siren", str(SIREN), "--words", "vi"), "LANGUAGE=FILE"),
        (("--siren", str(SIREN), "--words", f"={WORDS}"), "LANGUAGE=FILE"),
        (("--siren", str(SIREN), "--words", f"v i={WORDS}"), "LANGUAGE=FILE"),
        (("--siren", str(SIREN), *("--words", f"vi={WORDS}") * 2), "once"),
        (("--siren", __file__), "no Ogg Opus"),
        (("--siren", str(SIREN), "--words", "vi=/nowhere.opus"), "/nowhere.opus"),
    ],
)
def test_what_is_no_sound_or_no_language_leaves_no_station(tmp_path, capsys, given, told):
    assert main([*ASKED, *given, "--folder", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert told in said and len(said.splitlines()) == 1
    assert not (tmp_path / "station.json").exists(), "init would refuse to try again"
    assert not list(tmp_path.rglob("*.key"))
