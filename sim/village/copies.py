"""A province out of a few communes: `copies = 150` at the top of a scenario.

Each copy is the communes of the file once more, beside the others: names end in `-2`, `-3` and so
on, and so every cluster of every copy has streams of chance of its own. Faults meet those that they
name, which are the first copy's.
"""

import math
from typing import Any, Final

from node.config import ConfigError

COPIES_MAX: Final = 100_000
CLUSTERS_MAX: Final = 100_000
"""Of a scenario with copies: what one machine can answer."""

_APART_M: Final = 5000.0
"""Between two copies, beyond what the communes of the file lie apart."""


def multiply(table: dict[str, Any], where: str, errors: list[str]) -> None:
    """Take `copies` out of a scenario's table and put so many copies of its communes into it.

    What is wrong with the communes themselves is left to whoever reads them; what is wrong with
    `copies` is added to `errors`.
    """
    copies = table.pop("copies", 1)
    if type(copies) is not int or not 1 <= copies <= COPIES_MAX:
        errors.append(f"{where}: copies = {copies!r}: must be a whole number, 1 to {COPIES_MAX}")
        return
    if copies == 1:
        return
    try:
        communes = list(table["communes"])
        count = sum(len(hamlet["clusters"]) for one in communes for hamlet in one["hamlets"])
        if copies * count > CLUSTERS_MAX:
            raise ConfigError(
                f"{where}: copies = {copies}: makes {copies * count} clusters of {count}; "
                f"must be at most {CLUSTERS_MAX}"
            )
        table["communes"] = communes + _more(communes, copies)
    except ConfigError as fault:
        errors.append(str(fault))
    except (KeyError, TypeError, ValueError):
        return  # `build` names what is wrong


def _more(communes: list[dict[str, Any]], copies: int) -> list[dict[str, Any]]:
    wide_m, high_m = (_apart_m(communes, name) for name in ("x_m", "y_m"))
    in_a_row = math.isqrt(copies - 1) + 1
    found = []
    for copy in range(1, copies):
        north, east = (_about_0(one, in_a_row) for one in divmod(copy, in_a_row))
        east_m, north_m = wide_m * east, high_m * north
        found += [_copy(one, copy + 1, east_m, north_m) for one in communes]
    return found


def _about_0(place: int, places: int) -> int:
    """Return where in a row with the first copy in the middle a place is: 0, 1, 2 ..., -2, -1."""
    return place if 2 * place < places else place - places


def _apart_m(communes: list[dict[str, Any]], name: str) -> float:
    """Return how far two copies lie apart in one direction, rounded to a metre."""
    values = [float(one[name]) for one in communes]
    return float(round(max(values) - min(values) + _APART_M))


def _copy(commune: dict[str, Any], number: int, east_m: float, north_m: float) -> dict[str, Any]:
    def again(table: dict[str, Any]) -> dict[str, Any]:
        return {
            key: f"{one}-{number}" if key in ("feeder", "cell") else one
            for key, one in table.items()
        }

    hamlets = [
        again(hamlet)
        | {"clusters": [again(o) | {"name": f"{o['name']}-{number}"} for o in hamlet["clusters"]]}
        for hamlet in commune["hamlets"]
    ]
    name = f"{commune['name']} {number}"
    place = {"x_m": commune["x_m"] + east_m, "y_m": commune["y_m"] + north_m}
    return again(commune) | place | {"name": name, "hamlets": hamlets}
