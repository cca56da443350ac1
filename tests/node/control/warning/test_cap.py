"""CAP documents: what they say, where, however they are written, and what a broken one orders."""

import re
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from benchmarks.control.cap_heavy import GROWTH_MAX, HEAVIEST, growth, heavy
from benchmarks.control.control_cap import (
    CANCEL,
    DOCUMENTS,
    EXERCISE,
    FLOOD,
    LIMIT_MS,
    SITE,
    STORM,
    UPDATE,
    judge,
    run_fuzz,
)
from benchmarks.control.control_documents import draw_document, write
from benchmarks.control.warnings import run_documents
from node.control.precedence import MessageClass
from node.control.warning import cap_reader
from node.control.warning.alert import Alert, AlertConfig, PhraseConfig, alert_of
from node.control.warning.area import Area, Circle, Site, contains, distance_m, in_polygon
from node.control.warning.cap import INFOS_MAX, REFERENCES_MAX, CapAlert, dated, parse_cap

NORMAL, PRIORITY, URGENT = MessageClass


def parsed(text: str) -> CapAlert:
    cap = parse_cap(text.encode())
    assert isinstance(cap, CapAlert), cap
    return cap


def ordered(text: str, site: Site = SITE, class_max: MessageClass = URGENT) -> Alert | str:
    return alert_of(parsed(text), site, AlertConfig(), level="province", class_max=class_max)


def order(text: str, site: Site = SITE) -> Alert:
    alert = ordered(text, site)
    assert isinstance(alert, Alert), alert
    return alert


def test_a_flood_warning_is_urgent_in_its_languages_until_its_end():
    alert = order(FLOOD)
    assert alert.message_class == URGENT and alert.kind == "alert" and not alert.exercise
    assert alert.event_code == "FFW"
    assert [(s.language, bool(s.digest_sha1)) for s in alert.spoken] == [
        ("vi", True),
        ("tyz", False),
    ]
    end = datetime.fromtimestamp(alert.expires_s, UTC)
    assert end == datetime(2025, 10, 7, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize("text", [FLOOD, UPDATE, CANCEL, EXERCISE, STORM])
def test_another_reader_finds_the_same(text):
    """cap-tools reads the same documents; it is nobody's here."""
    cap_tools = pytest.importorskip(
        "cap_tools.models", reason="cap-tools, the second reader of CAP, is not installed"
    )
    parser = pytest.importorskip("xsdata.formats.dataclass.parsers").XmlParser()
    theirs = parser.from_bytes(text.encode(), cap_tools.Alert)
    ours = parsed(text)
    assert (theirs.identifier, theirs.sender) == (ours.identifier, ours.sender)
    assert theirs.status.value == ours.status and theirs.msg_type.value == ours.message_type
    assert theirs.sent.to_datetime().timestamp() == ours.sent_s
    assert len(theirs.infos) == len(ours.infos)
    for their, our in zip(theirs.infos, ours.infos, strict=True):
        assert (their.urgency.value, their.severity.value) == (our.urgency, our.severity)
        assert their.certainty.value == our.certainty and their.event == our.event
        assert [len(a.polygons) for a in their.areas] == [len(a.polygons) for a in our.areas]
        assert [len(a.geocodes) for a in their.areas] == [len(a.geocodes) for a in our.areas]
        assert (their.expires is None) == (our.expires_s is None)


def without(name: str) -> str:
    """Return the flood warning without an element, wherever it stands."""
    return re.sub(rf"<{name}>.*?</{name}>", "", FLOOD, flags=re.DOTALL)


@pytest.mark.parametrize("name", ["urgency", "severity", "certainty"])
def test_what_a_warning_does_not_say_is_unknown_and_the_warning_is_heard(name):
    assert order(FLOOD).message_class == URGENT
    alert = order(without(name))
    assert (alert.kind, alert.message_class) == ("alert", NORMAL)


def test_a_warning_without_an_area_is_for_wherever_its_order_is():
    elsewhere = Site(position=(10.0, 106.0))
    assert order(without("area"), elsewhere).message_class == URGENT
    assert ordered(FLOOD, elsewhere) == "not for this place"


def test_a_warning_that_does_not_say_when_it_was_sent_sounds_once_in_all_its_languages():
    issued_s = parsed(FLOOD).sent_s + 900
    cap = dated(parsed(without("sent")), issued_s)
    alert = alert_of(cap, SITE, AlertConfig(), level="province", class_max=URGENT)
    assert isinstance(alert, Alert) and alert == order(FLOOD) and not alert.more
    assert dated(parsed(without("sent")), issued_s + 600) == cap, "a repeat is the same warning"


def test_an_update_supersedes_and_a_cancel_only_names_what_it_ends():
    assert order(UPDATE).references == (("pctt@langson.gov.vn", "VN-LS-2025-10-07-001"),)
    cancel = order(CANCEL)
    assert cancel.kind == "cancel" and len(cancel.references) == 2


def test_an_update_that_leaves_our_place_out_ends_what_sounds_here():
    elsewhere = Site(position=(10.0, 106.0))
    alert = order(UPDATE, elsewhere)
    assert alert.kind == "leave" and alert.references
    assert ordered(FLOOD, elsewhere) == "not for this place"


def test_an_exercise_is_marked_and_never_urgent():
    alert = order(EXERCISE)
    assert alert.exercise and alert.message_class == PRIORITY


def test_no_authority_orders_more_than_it_may():
    alert = ordered(FLOOD, class_max=PRIORITY)
    assert isinstance(alert, Alert) and alert.message_class == PRIORITY


def test_without_an_end_a_warning_lasts_the_stated_time():
    alert = order(STORM)
    assert alert.message_class == PRIORITY
    assert alert.expires_s - alert.sent_s == AlertConfig().expires_default_s


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("<status>Actual", "<status>Draft", "status Draft"),
        ("<status>Actual", "<status>System", "status System"),
        ("<scope>Public", "<scope>Private", "scope Private"),
        ("<urgency>Immediate", "<urgency>Past", "nothing to sound"),
    ],
)
def test_what_is_not_for_the_public_or_over_orders_nothing(old, new, why):
    result = ordered(FLOOD.replace(old, new))
    assert isinstance(result, str) and why in result


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("<status>Actual", "<status>Real", "status = 'Real': must be one of Actual"),
        ("<sender>pctt@langson.gov.vn</sender>", "", "no sender in alert"),
        ("<scope>Public</scope>", "<scope>Public</scope><scope>Private</scope>", "not the same"),
        ("<msgType>Alert", "<msgType>Update", "without references: sender,identifier,sent"),
        ("cap:1.2", "cap:3.0", "0 alerts of CAP 1.2"),
        ("<alert ", '<!DOCTYPE x [<!ENTITY a "b">]><alert ', "leave out <!DOCTYPE"),
        ("</alert>", "", "not XML: no element found"),
    ],
)
def test_a_document_that_cannot_be_understood_is_refused_with_the_reason(old, new, why):
    result = parse_cap(FLOOD.replace(old, new).encode())
    assert isinstance(result, str) and why in result, result


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("<urgency>Immediate", "<urgency>Now", "info 1: urgency = 'Now': must be one of"),
        ("<severity>Extreme", "<severity>Awful", "info 1: severity = 'Awful': must be one of"),
        ("06.45 21.72", "06.45 121.72", "polygon: 121.72 degrees: latitude to 90"),
        ("21.60,106.45 21.72,106.45", "21,60,106,45 21.72,106.45", "points are lat,lon"),
        ("9.5</circle>", "nan</circle>", "numbers like 21.65"),
        ("9.5</circle>", "-9.5</circle>", "radius -9.5 km"),
        ("21.66,106.37 9.5", "21.66,106.37", "a circle is lat,lon and a radius in km"),
    ],
)
def test_where_a_part_cannot_be_read_the_others_warn_and_none_is_taken_for_elsewhere(old, new, why):
    broken = FLOOD.replace(old, new, 1)
    assert order(broken).message_class == URGENT  # another info or area is for here
    far = ordered(broken.replace("06637", "06640"), Site(position=(10.0, 106.0)))
    assert why in str(far) and str(far).startswith("may be for here, but ")


def test_a_cancel_needs_nothing_but_its_references():
    info = "<info><urgency>?</urgency><area><polygon>1,2</polygon></area></info>"
    flawed = CANCEL.replace("</alert>", f"{info}</alert>").replace("<sent>2025", "<sent>")
    cancel = order(flawed)
    assert cancel.kind == "cancel" and len(cancel.references) == 2


@pytest.mark.parametrize(
    ("references", "found"),
    [
        ("a,1,t", [("a", "1")]),
        ("a,1,t,", [("a", "1")]),
        ("a, 1, t\n  b , 2 , t", [("a", "1"), ("b", "2")]),
        ("a,1,t b,2", [("a", "1"), ("b", "2")]),
        ("a,1,t,b,2,t", [("a", "1"), ("b", "2")]),
        ("a,1,t 2", [("a", "1"), ("pctt@langson.gov.vn", "2")]),
        ("a,number 1,t b,2,t", [("a", "number 1"), ("b", "2")]),
    ],
)
def test_references_are_read_as_they_are_written(references, found):
    begin, end = CANCEL.index("<references>") + len("<references>"), CANCEL.index("</references>")
    cap = parsed(CANCEL[:begin] + references + CANCEL[end:])
    assert set(found) <= set(cap.references)


def test_of_too_many_references_the_first_and_the_last_count():
    names = [f"p,Z-{number},t" for number in range(3 * REFERENCES_MAX)]
    begin, end = CANCEL.index("<references>") + len("<references>"), CANCEL.index("</references>")
    cap = parsed(CANCEL[:begin] + " ".join(names) + CANCEL[end:])
    assert len(cap.references) == REFERENCES_MAX
    assert cap.references[0] == ("p", "Z-0")
    assert cap.references[-1] == ("p", f"Z-{3 * REFERENCES_MAX - 1}")


def test_of_too_many_blocks_the_first_are_read_and_the_others_are_not_taken_for_elsewhere():
    one = FLOOD[FLOOD.index("  <info>\n    <language>tyz") : FLOOD.index("</alert>")]
    far = one.replace("21.66,106.37", "10.0,106.0")
    many = FLOOD[: FLOOD.index("  <info>")] + far * INFOS_MAX + one + "</alert>"
    assert len(parsed(many).infos) == INFOS_MAX
    assert (
        ordered(many)
        == f"may be for here, but of more than {INFOS_MAX} info blocks the first were read"
    )
    near = FLOOD[: FLOOD.index("  <info>")] + one + far * INFOS_MAX + "</alert>"
    assert order(near).message_class == URGENT


def test_an_unreadable_time_counts_as_not_given():
    text = FLOOD.replace("2025-10-07T08:00:00+07:00</expires>", "tomorrow</expires>")
    alert = order(text.replace("<onset>2025", "<onset>"))
    assert alert.onset_s == 0
    assert alert.expires_s == alert.sent_s + AlertConfig().expires_default_s


@pytest.mark.parametrize(
    "text",
    [
        "2025-10-06T19:00:00Z",
        "2025-10-06T19:00:00-00:00",
        "2025-10-07T02:00:00.000+07:00",
        "2025-10-07t02:00:00+0700",
        "2025-10-07 02:00:00 +07:00",
        "2025-10-07T02:00+07",
        "2025-10-06T24:00:00+05:00",
        "\n  2025-10-07T02:00:00+07:00\n ",
    ],
)
def test_a_time_is_read_in_every_form_of_iso_8601_that_is_found(text):
    cap = parsed(FLOOD.replace("<sent>2025-10-07T02:00:00+07:00", f"<sent>{text}"))
    assert datetime.fromtimestamp(cap.sent_s, UTC) == datetime(2025, 10, 6, 19, tzinfo=UTC)


def test_one_danger_for_each_time_class_and_event_and_its_translations_with_it():
    first = FLOOD[FLOOD.index("  <info>") : FLOOD.index("  <info>\n    <language>tyz")]
    later = first.replace("Extreme", "Moderate").replace("T02:00:00", "T05:00:00")
    other = first.replace("FFW", "SVR")
    text = FLOOD.replace("</alert>", f"{later}{other}</alert>")
    config = AlertConfig(phrases={"any": PhraseConfig(siren="a" * 64)})
    alert = alert_of(parsed(text), SITE, config, level="province", class_max=URGENT)
    assert isinstance(alert, Alert)
    blocks = [
        (one.message_class, one.event_code, tuple(spoken.language for spoken in one.spoken))
        for one in (alert, *alert.more)
    ]
    assert blocks == [
        (URGENT, "FFW", ("vi", "tyz")),
        (URGENT, "SVR", ("vi",)),
        (PRIORITY, "FFW", ("vi",)),
    ]
    assert [one.effective_s - alert.effective_s for one in alert.more] == [0, 3 * 3600]
    assert len({one.name for one in (alert, *alert.more)}) == 3
    assert {one.key for one in (alert, *alert.more)} == {alert.key}


def test_of_several_event_codes_the_one_with_a_sound_of_its_own_counts():
    code = "<eventCode><valueName>SAME</valueName><value>FFW</value></eventCode>"
    text = FLOOD.replace(code, code.replace("FFW", "xx-lu") + code)
    config = AlertConfig(phrases={"FFW": PhraseConfig(siren="a" * 64)})
    alert = alert_of(parsed(text), SITE, config, level="province", class_max=URGENT)
    assert isinstance(alert, Alert) and alert.event_code == "FFW"


def test_warnings_of_long_names_have_names_of_their_own_and_a_sender_is_one_in_any_case():
    long = "urn:oid:2.49.0.1.840.0.0123456789abcdef0123456789abcdef01234567.00{}.1"
    one, two = (order(FLOOD.replace("VN-LS-2025-10-07-001", long.format(n))) for n in (1, 2))
    assert one.name != two.name and max(len(one.name), len(two.name)) <= 64
    assert one.name.startswith("urn:oid:2.49.0.1.840.0.0123456789abcdef") and one.key != two.key
    assert order(FLOOD.replace("pctt@", "PCTT@")).key == order(FLOOD).key


def test_signatures_and_extensions_in_the_document_are_no_fault():
    signed = FLOOD.replace(
        "</alert>",
        '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><a><b>x</b></a></Signature></alert>',
    )
    assert order(signed) == order(FLOOD)
    assert order(FLOOD.replace("<area>", '<x xmlns="urn:other"/><area>', 1)) == order(FLOOD)
    assert order(f'<feed xmlns="a">{FLOOD.partition("?>")[2]}</feed>') == order(FLOOD)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1 << 32), st.integers(0, 1 << 32))
def test_a_document_orders_what_was_meant_however_publishers_write_it(drawn, written):
    position = (21.65, 106.36)
    document = draw_document(1, position, np.random.default_rng(drawn))
    site = Site(position=position, geocodes=(("GSO", "06637"),))
    plain, found = (
        parse_cap(write(document, np.random.default_rng(written), plain=plain))
        for plain in (True, False)
    )
    if isinstance(plain, str) and plain.startswith("no "):
        assert found == plain and document.missing in plain
        return
    assert isinstance(plain, CapAlert) and isinstance(found, CapAlert), (plain, found)
    assert plain.faults == found.faults == ()
    said = [
        alert_of(one, site, AlertConfig(), level="province", class_max=URGENT)
        for one in (plain, found)
    ]
    if all(isinstance(one, Alert) for one in said):
        # In which order the blocks stand says nothing.
        spoken = [tuple(sorted(one.spoken, key=lambda words: words.language)) for one in said]
        said = [
            replace(one, references=(), sender="", more=(), spoken=words)
            for one, words in zip(said, spoken, strict=True)
        ]
    assert said[0] == said[1]


def test_a_thousand_documents_order_what_was_meant_and_damaged_ones_cost_no_more():
    result = run_documents(1000, seed=7)
    assert result.violations == []
    assert result.ordered > 300 and result.slowest_ms < LIMIT_MS


def test_what_is_tried_is_valid_by_a_schema_that_nobody_here_wrote():
    cap_tools = pytest.importorskip("cap_tools.models", reason="cap-tools is not installed")
    parser = pytest.importorskip("xsdata.formats.dataclass.parsers").XmlParser()
    rng = np.random.default_rng(3)
    for number in range(100):
        document = draw_document(number, (21.65, 106.36), rng)
        if document.missing:
            continue  # and just that makes it invalid
        theirs = parser.from_bytes(write(document, rng, plain=True), cap_tools.Alert)
        assert theirs.status.value == document.status
        assert len(theirs.infos) == len(document.infos)


@pytest.mark.parametrize("name", HEAVIEST)
def test_a_document_of_eight_times_the_weight_costs_no_more_than_sixteen_times(name):
    """Nothing is read in time that grows by the square: that would be 64 times. How many ms it
    is on a core is told by `python -m benchmarks control --only cap`.
    """
    whole = parse_cap(heavy(name, 1.0))
    assert isinstance(whole, CapAlert), "refused at once, it would weigh nothing"
    assert min(growth(name) for _ in range(2)) < GROWTH_MAX


def test_reading_by_the_square_of_a_document_is_told(monkeypatch):
    def slow(text: str) -> str:
        while "  " in text:
            text = text.replace("  ", " ", 1)
        return text

    read = cap_reader.read
    monkeypatch.setattr(
        "node.control.warning.cap.read", lambda data: read(slow(data.decode()).encode())
    )
    assert growth("times", tries=2) > GROWTH_MAX


def test_a_document_that_is_too_large_is_refused_unread():
    said = parse_cap((FLOOD + " " * cap_reader.DOCUMENT_BYTES_MAX).encode())
    assert isinstance(said, str) and "at most 262144; leave out" in said


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise(data):
    assert isinstance(parse_cap(data), str)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_document_cut_short_orders_anything(document):
    for end in range(0, len(document.rstrip()), 7):
        assert isinstance(parse_cap(document[:end]), str)


def test_mutated_documents_order_nothing_that_a_valid_one_would_not():
    result = run_fuzz(3000, seed=5)
    assert result.violations == [] and result.slower_than_30_ms == 0
    assert result.ordered > 50
    assert [judge(document) for document in DOCUMENTS] == [True, True, False, True, True]


def test_polygons_circles_and_codes_find_the_clusters_in_them():
    square = ((0.0, 0.0), (0.0, 2.0), (2.0, 2.0), (2.0, 0.0), (0.0, 0.0))
    assert in_polygon((1.0, 1.0), square) and not in_polygon((1.0, 3.0), square)
    hollow = (*square[:-1], (1.0, 1.0), (0.0, 0.0))
    assert not in_polygon((1.0, 0.5), hollow) and in_polygon((1.0, 1.5), hollow)
    # One degree of a great circle: 111.195 km on the mean sphere.
    assert distance_m((0.0, 0.0), (0.0, 1.0)) == 111_195
    site = Site(position=(0.0, 1.0), geocodes=(("GSO", "1"),))
    assert contains(Area(circles=(Circle((0.0, 0.0), 111_195.0),)), site)
    assert not contains(Area(circles=(Circle((0.0, 0.0), 111_194.0),)), site)
    assert contains(Area(geocodes=(("GSO", "1"),)), site)
    assert not contains(Area(geocodes=(("SAME", "1"),)), site)
    assert not contains(Area(), site) and contains(Area(everywhere=True), Site())


@given(st.floats(-89, 89), st.floats(-179, 179), st.floats(0.001, 1.0))
def test_a_point_is_in_the_square_around_it_and_not_in_the_one_beside(lat, lon, half):
    def square(centre_lon):
        corners = [(-half, -half), (-half, half), (half, half), (half, -half), (-half, -half)]
        return tuple((lat + a, centre_lon + b) for a, b in corners)

    assert in_polygon((lat, lon), square(lon))
    assert not in_polygon((lat, lon), square(lon + 3 * half))


PACIFIC = ((15.0, 170.0), (25.0, 170.0), (25.0, -170.0), (15.0, -170.0), (15.0, 170.0))


@pytest.mark.parametrize(
    ("polygon", "inside", "outside"),
    [
        (PACIFIC, [(20.0, 175.0), (20.0, -175.0), (20.0, 180.0), (20.0, -180.0)], [(20.0, 106.0)]),
        (
            ((15.0, 170.0), (25.0, 170.0), (25.0, 190.0), (15.0, 190.0), (15.0, 170.0)),
            [(20.0, 175.0), (20.0, -175.0)],
            [(20.0, 106.0)],
        ),
        (  # a ring round the pole, and the same that says so
            ((70.0, 0.0), (70.0, 120.0), (70.0, -120.0), (70.0, 0.0)),
            [(80.0, 0.0), (89.9, 77.0), (71.0, -179.0)],
            [(60.0, 0.0), (-80.0, 0.0)],
        ),
        (
            ((70.0, -180.0), (70.0, 0.0), (70.0, 180.0), (70.0, -180.0)),
            [(80.0, 0.0), (71.0, 179.0)],
            [(60.0, 0.0)],
        ),
        (
            ((60.0, -180.0), (60.0, 180.0), (-90.0, 180.0), (-90.0, -180.0), (60.0, -180.0)),
            [(0.0, 0.0), (-89.0, 100.0)],
            [(61.0, 0.0)],
        ),
        (
            (
                (60.0, -180.0),
                (60.0, 0.0),
                (60.0, 180.0),
                (-90.0, 180.0),
                (-90.0, -180.0),
                (60.0, -180.0),
            ),
            [(0.0, 0.0), (-89.0, 100.0)],
            [(61.0, 0.0)],
        ),
        (  # everywhere
            ((-90.0, -180.0), (-90.0, 180.0), (90.0, 180.0), (90.0, -180.0), (-90.0, -180.0)),
            [(21.65, 106.36), (-45.0, -170.0)],
            [],
        ),
    ],
)
def test_areas_cross_180_degrees_and_go_round_the_poles(polygon, inside, outside):
    assert [in_polygon(point, polygon) for point in inside] == [True] * len(inside)
    assert [in_polygon(point, polygon) for point in outside] == [False] * len(outside)
