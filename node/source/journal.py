"""What sounded when: rows of a source's journal, taken from its ring."""

from node.kernel.record import Records, as_bytes
from node.source.state import JOURNAL_ROWS, Played


def copy_journal(
    journal: Records[Played], taken: int, written: int, rows: Records[Played]
) -> tuple[int, int]:
    """Copy what is new in a journal into `rows`; return how many are taken now, and were copied.

    journal  (JOURNAL_ROWS,), a ring: what nobody took in time is overwritten
    taken    rows taken before
    written  rows written so far
    rows     (n,) to be filled from the first on
    """
    first = max(taken, written - JOURNAL_ROWS)
    count = min(written - first, len(rows))
    at = first % JOURNAL_ROWS
    head = min(count, JOURNAL_ROWS - at)
    filled, ring = as_bytes(rows), as_bytes(journal)
    filled[:head] = ring[at : at + head]
    filled[head:count] = ring[: count - head]
    return first + count, count
