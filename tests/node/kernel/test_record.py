"""State as records: one table makes the arrays, what kernels read, and the manual."""

from pathlib import Path

import pytest

from node.audio.resampler import Resampling
from node.clock.exchange.asked import Asking
from node.clock.exchange.bounds import Exchanged
from node.clock.exchange.replies import Replies
from node.clock.media_map import Reported
from node.clock.servo import Servo
from node.jitter.repair import Hole, Repair
from node.jitter.state import Jitter, Packet, Slot, Steering
from node.kernel import inner_kernel, kernel
from node.kernel.record import Record, Records, inner, nested, new, number, together, whole
from node.source.state import Played, Playout, Source, Stretching

MANUAL = Path(__file__).parents[3] / "docs" / "state.md"
HEAD = """# State: what is kept between two packets and two periods

Made from the tables in the sources, by `python -m tests.node.kernel.test_record`; a test compares.
An array of a shape is written as `name[shape]`; samples are counted at 48 kHz.

"""
KEPT = (
    Source,
    Playout,
    Resampling,
    Servo,
    Stretching,
    Jitter,
    Steering,
    Slot,
    Packet,
    Repair,
    Hole,
    Played,
    Asking,
    Replies,
    Exchanged,
    Reported,
)


def manual(*records: type[Record]) -> str:
    """Return the tables of some records for a manual, in Markdown."""
    parts = []
    for one in records:
        first, *_ = (one.__doc__ or "").splitlines()
        rows = [
            f"| `{row.name}{list(row.shape) or ''}` | {row.unit} | {row.sentence} |"
            for row in one.fields
        ]
        table = ["| field | unit | |", "|---|---|---|", *rows]
        parts.append("\n".join([f"## {one.__name__}", "", first, "", *table, ""]))
    return "\n".join(parts)


class Inside(Record):
    """A record in another one."""

    costs: object = number("ns", "Four of them.", (4,))


class Outside(Record):
    """A record with all that a record can have."""

    inside: Records[Inside] = nested(Inside, "One of them.", (1,))
    count: int = whole("", "How many.")


@inner_kernel("int64(Outside, Inside[::1], int64)")
def count_up(one: Outside, inside: Records[Inside], by: int) -> int:
    """Change a field, and one of an array in another record."""
    one.count += by
    if inside.shape[0]:
        inside[0].costs[by & 3] += 1.5
    return one.count


@kernel("int64(Outside[::1], int64)")
def count_up_from_python(ones: Records[Outside], by: int) -> int:
    """Hand on a record and what is in it."""
    return count_up(ones[0], ones[0].inside[:], by)


def test_a_kernel_changes_the_fields_of_a_record_and_of_one_that_lies_in_it():
    ones = new(Outside)

    assert count_up_from_python(ones, 3) == 3
    assert count_up_from_python(ones, 2) == 5
    assert ones["count"][0] == 5
    assert inner(ones, "inside", Inside)["costs"][0].tolist() == [0, 0, 1.5, 1.5]


def test_a_nested_record_shares_its_memory():
    ones = new(Outside)
    inner(ones, "inside", Inside)["costs"][0, 1] = 7

    assert ones["inside"]["costs"].max() == 7


def test_records_of_nothing_are_none():
    assert len(together([], Played)) == 0
    assert len(together([new(Played, 2), new(Played, 3)], Played)) == 5


def test_every_field_has_a_sentence_and_lies_where_c_would_lay_it():
    for record in KEPT:
        assert record.dtype.isalignedstruct
        assert record.dtype.names == tuple(field.name for field in record.fields)
        assert all(field.sentence.endswith(".") for field in record.fields)


def test_a_slot_is_a_line_of_cache():
    assert Slot.dtype.itemsize == 64


def test_the_manual_says_what_the_tables_say():
    assert MANUAL.read_text() == HEAD + manual(*KEPT)


def test_a_field_that_numpys_own_names_would_hide_is_refused():
    with pytest.raises(AssertionError, match="flags"):

        class Hidden(Record):
            """A field that plain Python would not find."""

            flags: int = whole("", "Hidden by that of an array.")


if __name__ == "__main__":
    MANUAL.write_text(HEAD + manual(*KEPT))
