"""A name is one name, however the keyboard of an office wrote it."""

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from node.config import build
from node.control.calendar.programme import Calendar, ProgrammeConfig
from node.control.loudness.schedule import Place, VolumeConfig, VolumeSchedule
from node.control.names import same_name, written
from node.control.precedence import MessageClass

HAMLETS = ("Thôn Đoài Tứ", "Làng Cóc", "Hữu Liên", "Hoà Thắng", "Thuý Sơn", "Liên Hương")
FORMS = st.sampled_from(("NFC", "NFD", "NFKC", "NFKD"))


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, str]:
    name = draw(st.sampled_from(HAMLETS))
    other = unicodedata.normalize(draw(FORMS), name)
    if draw(st.booleans()):
        other = other.upper()
    return name, draw(st.sampled_from(("", " ", "\u00a0"))) + other + draw(
        st.sampled_from(("", "  "))
    )


@given(spellings())
@example(("Hoà Thắng", "Hòa Thắng"))
@example(("Thuý Sơn", "Thúy Sơn"))
def test_items_and_volumes_of_a_hamlet_hold_there_however_it_is_written(names):
    here, said = names
    part = {"kind": "file", "duration_s": 60, "media": {"vi": "c" * 64}}
    table = {"hamlet": here, "items": [{"name": "news", "start": "05:30", "parts": [part]}]}
    table["items"][0]["hamlets"] = [said]
    programme = build(ProgrammeConfig, table, where="x", errors=[])
    assert programme is not None
    assert len(Calendar(programme).due_between(0, 86_400)) == 1

    rule = {"name": "clinic", "volume": 0, "hamlet": said}
    plan = build(VolumeConfig, {"volume": 70, "rules": [rule]}, where="x", errors=[])
    assert plan is not None
    there = VolumeSchedule(plan, Place(hamlet=here)).decide(0, MessageClass.NORMAL)
    elsewhere = VolumeSchedule(plan, Place(hamlet="Tân Thành")).decide(0, MessageClass.NORMAL)
    assert (there.volume, elsewhere.volume) == (0, 70)


def test_names_that_sound_otherwise_are_others():
    assert not same_name("Hoà Thắng", "Hoa Thắng")
    assert not same_name("Hoà Thắng", "Hoá Thắng")
    assert not same_name("Làng Cóc", "Làng Cốc")
    assert not same_name("Làng Cóc", "Làng Cóc Trên")
    assert not same_name(None, None)


@given(spellings())
def test_the_name_of_an_item_is_kept_in_one_form(names):
    part = {"kind": "file", "duration_s": 60, "media": {"vi": "c" * 64}}
    items = [{"name": name, "start": "05:30", "parts": [part]} for name in names]
    found = [build(ProgrammeConfig, {"items": [one]}, where="x", errors=[]) for one in items]
    assert written(found[0].items[0].name) == found[0].items[0].name
    if names[0].casefold() == names[1].strip().casefold() and not names[1].isupper():
        assert found[0].items[0].name == found[1].items[0].name
