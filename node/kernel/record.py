"""State as records: a table of named fields makes the arrays, the kernels' types and the manual.

```
class Servo(Record):                                       one structured dtype, `Servo.dtype`
    integral_ppm: float = number("ppm", "What ...")        `servo.integral_ppm` in a kernel
    clamp_ppm: float = number("ppm", "Bound of ...")       `servos["clamp_ppm"][0]` in Python
```

A kernel's signature names the class: ``"int64(Servo, int64)"`` takes one record by reference,
``"int64(Servo[::1], int64)"`` an array of them, which is how Python hands one over (`new` makes an
array of one; a single record from Python costs four times as much). A field that is an array goes
to another kernel as `record.field[:]`. Fields lie as C would lay them out.
"""

import contextlib
import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T", bound="Record")


class Records(Protocol[R_co]):
    """An array of records, (n,): what `new` returns, for the type checker."""

    @property
    def shape(self) -> tuple[int, ...]:
        """How many there are, in a tuple."""

    @overload
    def __getitem__(self, which: int) -> R_co: ...
    @overload
    def __getitem__(self, which: slice | NDArray[np.bool_]) -> "Records[R_co]": ...
    @overload
    def __getitem__(self, which: str) -> NDArray[Any]: ...
    def __getitem__(self, which: Any) -> Any:
        """Return one record (in kernels), some of them, or one field of all."""

    def __setitem__(self, which: Any, value: Any) -> None:
        """Set a field of all, or whole records."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __iter__(self) -> Iterator[Any]:
        """Return each record, its fields by name: slow, for tools and tests."""

    def copy(self) -> "Records[R_co]":
        """Return others that are equal."""

    def tolist(self) -> list[tuple[Any, ...]]:
        """Return each record's fields in their order, as Python's own numbers."""

    def tobytes(self) -> bytes:
        """Return how they lie in memory."""


@dataclass(frozen=True, slots=True)
class Field:
    """One row of a record's table."""

    name: str
    unit: str
    """As in names: samples, ns, ppm ...; empty for counts, indices and ratios."""
    sentence: str
    of: Any
    """What it is made of: a numpy type, or another record."""
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    unit: str
    sentence: str
    of: Any
    shape: tuple[int, ...]


class Record:
    """Base of all records; a subclass lists its fields with `whole`, `number` and `nested`."""

    dtype: ClassVar[np.dtype[Any]]
    fields: ClassVar[tuple[Field, ...]]

    def __init_subclass__(cls) -> None:
        rows = {name: row for name, row in vars(cls).items() if isinstance(row, _Row)}
        cls.fields = tuple(
            Field(name, row.unit, row.sentence, row.of, row.shape) for name, row in rows.items()
        )
        hidden = [name for name in rows if hasattr(np.record, name)]
        assert not hidden, f"{cls.__name__}: {hidden} would be hidden by numpy's own"
        layout = [(one.name, _element(one.of), one.shape) for one in cls.fields]
        # As np.record a field is an attribute of one in plain Python too, as in a kernel.
        cls.dtype = np.dtype((np.record, np.dtype(layout, align=True)))


def whole(unit: str, sentence: str, shape: tuple[int, ...] = (), of: Any = np.int64) -> Any:
    """Return the row of a whole number, or of an array of them."""
    return _Row(unit, sentence, of, shape)


def number(unit: str, sentence: str, shape: tuple[int, ...] = ()) -> Any:
    """Return the row of a float64, or of an array of them."""
    return _Row(unit, sentence, np.float64, shape)


def nested(of: type[Record], sentence: str, shape: tuple[int, ...] = ()) -> Any:
    """Return the row of another record, or of an array of them."""
    return _Row("", sentence, of, shape)


def new(of: type[T], n: int = 1) -> Records[T]:
    """Return `n` records of zeros: (n,), C-contiguous."""
    return cast("Records[T]", np.zeros(n, of.dtype))


def new_apart(of: type[T], n: int = 1) -> Records[T]:
    """Return `n` records of zeros in pages of their own; see `zeros_apart`."""
    return cast("Records[T]", zeros_apart((n,), of.dtype))


def zeros_apart(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return zeros in pages of their own, of which only those cost memory that are written to.

    Elsewhere they may lie where something else was, and be wiped, or in a page of 2 MB. The result
    is (`shape`) of `dtype`, records or float32, all bits 0.
    """
    bytes_of = math.prod(shape) * np.dtype(dtype).itemsize
    # Private: a process that forks would share them, and play into its child's buffers.
    pages = mmap.mmap(-1, bytes_of, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without huge pages does not know the word
            pages.madvise(mmap.MADV_NOHUGEPAGE)
    found: NDArray[Any] = np.frombuffer(pages, dtype).reshape(shape)
    return found


def together(parts: list[Records[T]], of: type[T]) -> Records[T]:
    """Return records `of` a kind one after another, none where there are no parts."""
    # As numbers: of void numpy asks first whether all are alike, which takes longer than the rest.
    arrays = [octets(one) for one in (new(of, 0), *parts)]
    return cast("Records[T]", np.concatenate(arrays).view(of.dtype))


def as_bytes(records: Records[Any]) -> NDArray[np.void]:
    """Return records of which numpy sees no fields: (n,) void, bytes in the same memory.

    So they are copied at once; as records each field is copied by itself, ten times as slowly.
    """
    found = cast("NDArray[Any]", records)
    return found.view(np.dtype((np.void, found.dtype.itemsize)))


def octets(records: Records[Any]) -> NDArray[np.uint8]:
    """Return the bytes of records one by one: (bytes,) uint8, counts, in the same memory."""
    return as_bytes(records).view(np.uint8)


def inner(records: Records[Any], name: str, of: type[T]) -> Records[T]:
    """Return the records `of` a kind that lie in the field `name` of one: they share its memory."""
    found = records[name].reshape(-1)
    assert found.dtype == of.dtype
    return cast(Records[T], found)


def record_names(signature: str, names: dict[str, Any]) -> Iterator[tuple[str, np.dtype[Any]]]:
    """Return the records among `names` that stand in a kernel's signature."""
    for name, one in names.items():
        if isinstance(one, type) and issubclass(one, Record) and name in signature:
            yield name, one.dtype


def _element(of: Any) -> np.dtype[Any]:
    is_record = isinstance(of, type) and issubclass(of, Record)
    found: np.dtype[Any] = of.dtype if is_record else np.dtype(of)
    return found
