"""Points as maps and their converters write them: read where they can mean one thing only."""

from xml.etree.ElementTree import fromstring

from hypothesis import assume, example, given
from hypothesis import strategies as st

from benchmarks.control.control_cap import SITE, UPDATE
from node.control.precedence import MessageClass
from node.control.warning.alert import AlertConfig, alert_of
from node.control.warning.cap import CapAlert, parse_cap
from node.control.warning.cap_area import read_area

LAT = st.floats(-89, 89).map(lambda one: round(one, 6))
FAR_LON = st.floats(90.5, 180).map(lambda one: round(one, 6)) | st.floats(-180, -90.5).map(
    lambda one: round(one, 6)
)
RING = st.lists(st.tuples(LAT, FAR_LON), min_size=3, max_size=20, unique=True)


def read(polygon="", circle=""):
    shape = f"<polygon>{polygon}</polygon>" if polygon else f"<circle>{circle}</circle>"
    return read_area(fromstring(f"<area><areaDesc>x</areaDesc>{shape}</area>"))


@given(
    RING,
    st.booleans(),
    st.sampled_from([" ", "; ", ";", "\n"]),
    st.sampled_from(["", ",0", ",0.0"]),
)
@example([(21.6, 106.3), (21.6, 106.4), (21.7, 106.4)], True, ";", ",0")
def test_a_ring_is_the_same_however_a_map_writes_it(ring, is_turned, between, height):
    plain = " ".join(f"{lat},{lon}" for lat, lon in ring)
    written = between.join(
        (f"{lon},{lat}" if is_turned else f"{lat},{lon}") + height for lat, lon in ring
    )
    assert read(polygon=written) == read(polygon=plain)
    assert read(polygon=plain)[1] == []


@given(LAT, FAR_LON, st.floats(0, 500).map(lambda one: round(one, 3)), st.booleans())
def test_a_circle_is_the_same_however_it_is_written(lat, lon, radius, is_turned):
    plain = read(circle=f"{lat},{lon} {radius}")
    first, second = (lon, lat) if is_turned else (lat, lon)
    for written in (f"{first},{second} {radius} km", f"{first},{second},{radius}"):
        assert read(circle=written) == plain
    assert plain[1] == []


@given(st.lists(st.tuples(st.integers(-89, 89), st.integers(0, 179)), min_size=4, max_size=9))
def test_decimal_commas_are_told_and_never_taken_for_points(ring):
    assume(any(lon for _, lon in ring))
    for written in (
        " ".join(f"{lat},5,{lon},5" for lat, lon in ring),
        " ".join(f"{lat},5,{lon}" for lat, lon in ring),
    ):
        area, faults = read(polygon=written)
        assert not area.polygons and "points are lat,lon" in faults[0]


def test_an_update_that_says_nothing_ends_nothing():
    begin, end = UPDATE.index("<info>"), UPDATE.rindex("</info>") + len("</info>")
    cap = parse_cap((UPDATE[:begin] + UPDATE[end:]).encode())
    assert isinstance(cap, CapAlert) and not cap.infos
    fate = alert_of(cap, SITE, AlertConfig(), level="province", class_max=MessageClass.URGENT)
    assert fate == "no info in it"
