"""Places in a table: a lower tier never keeps a higher one out, whatever it has filled."""

from hypothesis import example, given
from hypothesis import strategies as st

from node.control.trust.shares import OVERFLOW, Claim, Shares

CLAIMS = st.lists(
    st.builds(Claim, st.integers(-1, 3), st.integers(0, 5), st.sampled_from([b"a", b"b", b"c"])),
    max_size=80,
)
FULL = [Claim(3, 5, b"a")] * 4 + [Claim(1, 0, b"b")] * 6
"""Four urgent items of a hamlet, then a province's normal ones."""


def filled(shares: Shares, claims: list[Claim]) -> list[Claim]:
    """Let `claims` come one after another; return who holds a place then."""
    held: list[Claim] = []
    for new in claims:
        gone = shares.make_room(held, new)
        if gone is None:
            continue
        for index in gone:
            assert held[index].level >= new.level, "who is above was evicted"
            less = (held[index].urgency, -held[index].level) < (new.urgency, -new.level)
            assert less or len(held) >= OVERFLOW * shares.places, "the urgent gave way to others"
        held = [one for index, one in enumerate(held) if index not in gone] + [new]
        assert len(held) <= OVERFLOW * shares.places
    return held


@given(CLAIMS, st.integers(-1, 2), st.integers(0, 5))
def test_there_is_a_place_for_each_tier_whatever_those_below_it_hold(claims, level, urgency):
    shares = Shares(places=16, tiers=4, each=16)
    held = filled(shares, [one for one in claims if one.level > level])
    for number in range(shares.quota(level)):
        new = Claim(level, urgency, bytes([number]))
        gone = shares.make_room(held, new)
        assert gone is not None
        held = [one for index, one in enumerate(held) if index not in gone] + [new]
    assert sum(one.level == level for one in held) == shares.quota(level)


@given(CLAIMS, st.integers(-1, 2))
@example(FULL, 1)
def test_those_above_hold_what_they_would_hold_if_nobody_were_below_them(claims, level):
    shares = Shares(places=8, tiers=4, each=8)
    claims = [Claim(one.level, one.urgency, bytes([one.level + 1])) for one in claims]
    alone = filled(shares, [one for one in claims if one.level <= level])
    held = filled(shares, claims)
    assert [one for one in held if one.level <= level] == alone


@given(CLAIMS)
def test_without_anybody_above_a_table_holds_its_places_and_no_more(claims):
    shares = Shares(places=8, tiers=4, each=8)
    held = filled(shares, sorted(claims, key=lambda one: one.level))
    assert len(held) <= shares.places


ABOVE = [Claim(0, 0, b"a")] * 13 + [Claim(2, 1, b"a")]
"""All that a province may hold, and something of a hamlet's beside it."""


@given(CLAIMS, st.integers(-1, 3))
@example(ABOVE, 1)
@example([Claim(1, 0, b"a")] * 16, 1)
def test_what_is_most_urgent_finds_a_place_unless_those_above_hold_all_they_may(claims, level):
    shares = Shares(places=16, tiers=4, each=16)
    held = filled(shares, claims)
    is_full = any(
        sum(first <= one.level < level for one in held) >= shares.quota(first)
        for first in range(-1, level)
    )
    assert is_full or shares.make_room(held, Claim(level, 6, b"d")) is not None


@given(CLAIMS)
def test_no_key_holds_more_than_its_own_share(claims):
    held = filled(Shares(places=16, tiers=4, each=5), claims)
    for key in (b"a", b"b", b"c"):
        assert sum(one.key_id == key for one in held) <= 5
