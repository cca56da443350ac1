"""Random histories of orders: no effect without a right, and no right of a higher tier lost."""

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.control.orders import drawn, first_broken
from node.control import kept_orders
from node.control.calendar.leave import Leave
from node.control.calendar.programmes import OWN
from node.control.mute import Mutes
from node.control.plans import Plans
from node.control.proof.answers import Answers
from node.control.sessions import Sessions
from node.control.trust import authority
from node.control.trust.ahead import Ahead
from node.control.trust.authority import Authority, AuthorityBook, Warrant
from node.control.trust.gatekeeper import Gatekeeper
from node.control.trust.once import ReplayGuard
from node.control.trust.revocations import Revocations
from node.control.warning import alert_memory
from node.control.warning.alert_book import AlertBook
from node.control.warning.alert_memory import AlertMemory
from node.heard_as import HeardAs


def test_no_history_of_orders_breaks_a_promise():
    broken = first_broken(150, seed=1)
    assert broken is None, (broken.violations, broken.log)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(14091, id="who announced a stream stands higher by now"),
        pytest.param(17584, id="the clock comes back after the end of a warning"),
    ],
)
def test_what_no_order_took_breaks_no_promise(number):
    assert first_broken(1, seed=77, first=number) is None


def test_histories_side_by_side_are_those_one_after_the_other():
    alone, beside = (list(drawn(3, seed=1, processes=processes)) for processes in (1, 2))
    assert [(one.number, one.orders, one.log) for one in alone] == [
        (one.number, one.orders, one.log) for one in beside
    ]


def nothing(*_: object, **__: object) -> None:
    """Do nothing."""


def deaf_to(reason: str) -> Callable[..., Authority | str]:
    """Return `AuthorityBook.may` without one of its refusals."""
    asked = AuthorityBook.may

    def may(self: AuthorityBook, warrant: Warrant, *rest: Any) -> Authority | str:
        said = asked(self, warrant, *rest)
        return vars(self)["_known"][warrant.key_id] if said == reason else said

    return may


def last_first(asked: Callable[..., tuple[int, ...]]) -> Callable[..., tuple[int, ...]]:
    """Return `HeardAs.numbers_of` by which the lowest item decides what a stream is."""
    return lambda self, ssrc: asked(self, ssrc)[::-1]


def of_anybody(asked: Callable[..., int | None]) -> Callable[..., int | None]:
    """Return `Sessions.named` by which a stream is whoever's announced its name."""
    return lambda self, stream, rank, kind: asked(self, stream, 99, kind)


def ending(self: HeardAs, ssrc: int, now_ns: int) -> None:
    """End a stream, whoever else relays it."""
    vars(self)["_speaker"].end_source(ssrc, now_ns)


def only_ordered(asked: Callable[..., Any]) -> Callable[..., Any]:
    """Return `Plans.calendars` by which any calendar ends the whole of the node's own file."""

    def calendars(self: Plans) -> Any:
        found = dict(asked(self))
        if len(found) > 1 and found[min(found)][1] is None:
            found.pop(OWN)
        return found

    return calendars


HOLES = {
    "an ended certificate will do": (AuthorityBook, "may", deaf_to("the certificate has ended")),
    "a key reaches out of its area": (AuthorityBook, "may", deaf_to("outside its area")),
    "a key reaches above its class": (AuthorityBook, "may", deaf_to("above its class")),
    "who came down acts as before": (AuthorityBook, "may", deaf_to("above its tier")),
    "a wrong signature will do": (authority, "verified", lambda *_: True),
    "an order is for anywhere": (Gatekeeper, "_for_here", lambda *_: True),
    "an order has no time to live": (Gatekeeper, "_not_in_time", nothing),
    "a revoked key's volume plan holds": (Plans, "keep_allowed", nothing),
    "an item needs no right": (Leave, "no_right", nothing),
    "a revoked key speaks on": (Sessions, "keep_allowed", nothing),
    "a revoked key's warning sounds on": (AlertBook, "keep_allowed", nothing),
    "a revoked key's mute goes on": (Mutes, "keep_allowed", nothing),
    "revocations are forgotten": (Revocations, "holds", lambda *_: False),
    "orders act twice": (ReplayGuard, "refusal", nothing),
    "any area will do": (authority, "within", lambda *_: True),
    "a child may be wider": (AuthorityBook, "_narrower", nothing),
    "an item has any tier": (Plans, "_of_its_level", lambda _self, item, _level: item),
    "anybody ends a warning": (alert_memory, "_may_end", lambda *_: True),
    "a cancel about nothing says that it ended it": (
        AlertMemory,
        "what_it_ends",
        lambda *_: "cancel",
    ),
    "an order acts before it is kept": (Ahead, "keep", nothing),
    "a refusal is told to nobody": (Answers, "refuse", lambda *_: []),
    "a name is anybody's": (AlertMemory, "stands_in_the_way", lambda *_: False),
    "the lowest item decides what a stream is": (
        HeardAs,
        "numbers_of",
        last_first(HeardAs.numbers_of),
    ),
    "an item that ends takes the stream from the others": (HeardAs, "_leave", ending),
    "an item keeps who has lost the name": (HeardAs, "follow_names", nothing),
    "a gain stays for what gets the horn": (HeardAs, "set_gains", nothing),
    "any calendar ends the node's own file": (Plans, "calendars", only_ordered(Plans.calendars)),
    "a stream is whoever's has its name": (Sessions, "named", of_anybody(Sessions.named)),
    "the name of a stream is anybody's": (Sessions, "_is_named_by_another", lambda *_: False),
    "what a key ordered rises with it": (kept_orders, "_as_it_was", lambda order, _: order),
}


@pytest.mark.parametrize("hole", HOLES)
def test_a_hole_in_any_one_check_is_found(hole, monkeypatch):
    where, name, instead = HOLES[hole]
    monkeypatch.setattr(where, name, instead)
    if hole == "orders act twice":
        monkeypatch.setattr(ReplayGuard, "advance", lambda *_: [])
    assert first_broken(1000, seed=3) is not None
