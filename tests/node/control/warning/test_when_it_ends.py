"""When a warning ends whose document does not say so, or says it so that nobody can read it."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.control.control_cap import FLOOD, SITE
from node.control.precedence import MessageClass
from node.control.warning.alert import Alert, AlertConfig, alert_of
from node.control.warning.cap import CapAlert, parse_cap
from node.shell.poles.readable import cap_doubts

CONFIG = AlertConfig()
SENT = datetime(2025, 10, 7, 2, tzinfo=timezone(timedelta(hours=7)))
ENDS = "2025-10-07T08:00:00+07:00</expires>"
NOT_TIMES = st.one_of(
    st.sampled_from(["", "tomorrow", "08:00", "2025-10-07", "07/10/2025 08:00", "PT6H", "0", "-"]),
    st.text(st.characters(exclude_characters="<&", exclude_categories=["C"]), max_size=30),
)


def document(expires: str, *, effective: datetime = SENT, sent: datetime = SENT) -> str:
    """A flood that is expected: it waits for the time from which it holds."""
    text = FLOOD.replace(">Immediate<", ">Expected<").replace(ENDS, f"{expires}</expires>")
    text = text.replace(">2025-10-07T02:00:00+07:00</effective>", f">{iso(effective)}</effective>")
    return text.replace(">2025-10-07T02:00:00+07:00</sent>", f">{iso(sent)}</sent>")


def iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def warning(text: str) -> Alert:
    cap = parse_cap(text.encode())
    assert isinstance(cap, CapAlert), cap
    found = alert_of(cap, SITE, CONFIG, level="province", class_max=MessageClass.URGENT)
    assert isinstance(found, Alert), found
    return found


def doubts(text: str) -> str:
    return "; ".join(cap_doubts(text.encode(), int(SENT.timestamp())))


@given(NOT_TIMES, st.integers(-3 * 86_400, 30 * 86_400))
@example("", 2 * 86_400)  # takes effect only after the end that it was given
def test_a_warning_whose_end_nobody_can_read_is_heard_and_does_not_last_for_ever(text, later_s):
    effective = SENT + timedelta(seconds=later_s)
    for block in warning(document(text, effective=effective)).blocks:
        begins_s = max(block.effective_s, block.sent_s)
        assert block.expires_s == begins_s + CONFIG.expires_default_s


@given(NOT_TIMES.filter(lambda text: text.strip()))
def test_who_signs_a_warning_whose_end_cannot_be_read_is_told_before(text):
    assert "is no time with an offset from UTC" in doubts(document(text))


@given(st.integers(1, 7 * 86_400), st.integers(-12 * 4, 14 * 4))
def test_an_end_without_an_offset_is_meant_as_the_document_was_sent(lasts_s, quarters):
    zone = timezone(timedelta(minutes=15 * quarters))
    text = iso((SENT + timedelta(seconds=lasts_s)).astimezone(zone).replace(tzinfo=None))
    found = document(text, sent=SENT.astimezone(zone))
    assert warning(found).expires_s == SENT.timestamp() + lasts_s
    assert "read with the offset of sent" in doubts(found)


@given(st.integers(0, 14 * 3600))
def test_an_end_without_an_offset_that_would_be_over_before_it_begins_ends_no_warning(early_s):
    """Written in UTC beside a `sent` of here, six hours of flood are over before they begin."""
    text = iso((SENT - timedelta(seconds=early_s)).replace(tzinfo=None))
    block = warning(document(text))
    assert block.expires_s == block.sent_s + CONFIG.expires_default_s
    assert "is no time with an offset from UTC" in doubts(document(text))


def test_an_end_with_an_offset_is_taken_as_it_stands_and_asks_nothing():
    text = document(iso(SENT.astimezone(UTC) + timedelta(hours=6)))
    assert warning(text).expires_s == SENT.timestamp() + 6 * 3600
    assert doubts(text) == ""


@given(st.sampled_from(["", "tomorrow"]), st.integers(0, 10 * 86_400))
def test_who_signs_an_old_document_without_an_end_is_told_that_nodes_take_it_as_over(text, old_s):
    """A file of last week, sent once more: who forgets `sent` has no end that says it."""
    said = "; ".join(cap_doubts(document(text).encode(), int(SENT.timestamp()) + old_s))
    assert ("nodes take it as over" in said) == (old_s >= CONFIG.expires_default_s)
