"""Kernels whose arrays are looked at once: they do what the plain call does, and refuse as much."""

import numpy as np
import pytest

from node.config import JitterConfig
from node.jitter.buffer import JitterBuffer
from node.kernel import kernel
from node.kernel.bound import bound
from node.kernel.record import Record, Records, new, whole

MS = 1_000_000


class Account(Record):
    """What is added to."""

    total: int = whole("", "So far.")


@kernel("int64(Account[::1], float64[:, ::1], int64)")
def add(accounts: Records[Account], weights: object, count: int) -> int:
    """Add a count, weighed by what is in the first place."""
    accounts[0].total += count * int(weights[0, 0])  # type: ignore[index]
    return accounts[0].total


def test_a_kernel_works_on_the_arrays_it_was_bound_to():
    accounts, others = new(Account), new(Account)
    weights = np.full((1, 1), 3.0)

    add_here = bound(add, accounts, weights)

    assert [add_here(1), add_here(np.int64(2)), add(others, weights, 1)] == [3, 9, 3]
    weights[0, 0] = 1.0
    assert add_here(1) == 10, "it is the array and no copy of it"


@pytest.mark.parametrize(
    "weights",
    [
        np.zeros((1, 1), np.float32),
        np.zeros((1, 1), np.int64),
        np.zeros(1),
        np.zeros((4, 4))[:, ::2],
        np.asfortranarray(np.zeros((2, 2))),
        np.frombuffer(bytes(8)).reshape(1, 1),
    ],
    ids=["half as wide", "whole numbers", "one dimension", "gaps", "columns first", "read only"],
)
def test_an_array_that_does_not_fit_the_signature_is_refused_when_it_is_bound(weights):
    with pytest.raises(TypeError):
        bound(add, new(Account), weights)(1)


def test_records_of_another_kind_are_refused():
    with pytest.raises(TypeError):
        bound(add, np.zeros(1, np.int64), np.zeros((1, 1)))(1)


@pytest.mark.parametrize(
    "payload",
    [np.zeros(20, np.uint8)[::2], np.zeros((2, 10), np.uint8), np.zeros(10, np.int16)],
    ids=["gaps", "two dimensions", "samples"],
)
def test_a_payload_that_is_no_row_of_bytes_is_refused(payload):
    buffer = JitterBuffer(JitterConfig())

    with pytest.raises((AssertionError, TypeError)):
        buffer.insert(1, 960, 960, 20 * MS, payload=payload)
