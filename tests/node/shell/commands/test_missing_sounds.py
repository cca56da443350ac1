"""A siren that is not on the disk is told when the node starts, not in the night of the flood."""

from node.control.calendar.programme import ItemConfig, PartConfig, ProgrammeConfig
from node.control.settings import ControlConfig
from node.control.warning.alert import AlertConfig, PhraseConfig
from node.shell.govern import missing_sounds

SIREN, WORDS, NEWS = "a" * 64, "b" * 64, "c" * 64


def control(**more):
    return ControlConfig(root_public_key="ab" * 32, area="vn/coc-1", **more)


def test_each_sound_that_is_named_and_missing_is_told_by_its_place():
    phrase = PhraseConfig(siren=SIREN, text={"vi": WORDS})
    part = PartConfig(kind="file", duration_s=5, media={"vi": NEWS})
    config = control(
        alert=AlertConfig(phrases={"FFW": phrase}, exercise_phrase={"vi": WORDS}),
        programme=ProgrammeConfig(items=(ItemConfig(name="news", start="05:30", parts=(part,)),)),
    )
    assert missing_sounds(config, {SIREN: 1, WORDS: 1, NEWS: 1}) == []
    told = missing_sounds(config, {})
    assert [line.split(" = ")[0] for line in told] == [
        "control.alert.phrases.FFW.siren",
        "control.alert.phrases.FFW.text.vi",
        "control.alert.exercise_phrase.vi",
        "control.programme item 'news'",
    ]


def test_a_node_without_any_siren_is_told_so():
    assert missing_sounds(control(), {}) == ["control.alert.phrases: none, so no warning can sound"]
