"""Settings: what is taken works to the end of a warning; what would not is refused, and why."""

import hashlib
import math
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.config import ConfigError, build
from node.control.controller import Controller
from node.control.loudness.regulation import load_rule_file
from node.control.precedence import MessageClass
from node.control.settings import ControlConfig
from node.control.trust.authority import Certificate
from node.control.trust.message import Kind, Message, seal
from node.control.trust.signature import SeedSigner
from node.control.warning.short_alert import encode_short
from node.units import NS_PER_S

ROOT, PROVINCE = (SeedSigner(hashlib.sha256(name).digest()) for name in (b"root", b"province"))
AREA: Final = "vn/lang-son/huu-lien"
BEGIN_S: Final = 1_795_000_000

PART: Final = {"kind": "file", "duration_s": 60, "media": {"vi": "d" * 64}}
GOOD: Final[dict[str, Any]] = {
    "root_public_key": ROOT.public_key.hex(),
    "area": f"{AREA}/coc-1",
    "build_utc_s": 1_764_547_200,
    "site": {"lat_deg": 21.6, "lon_deg": 106.3, "geocodes": {"GSO": "06637"}},
    "place": {"commune": "Hữu Liên", "hamlet": "Làng Cóc", "cluster": "1"},
    "priority": {
        "tiers": ["national", "province", "commune"],
        "hold_ms": {"normal": 1900, "priority": 1900, "urgent": 3000},
        "retake_ms": 10_000,
        "ramp_ms": 100,
        "return_ms": 100,
    },
    "volume": {
        "volume": 70,
        "rules": [{"name": "dawn", "volume": 5, "start": "04:00", "end": "05:00"}],
        "quiet_hours": [{"name": "noon", "volume_max": 5, "start": "12:00", "end": "13:00"}],
        "class_offset": {"priority": 5},
        "emergency_floor": 80,
        "untrusted_volume": 80,
    },
    "programme": {
        "items": [{"name": "news", "start": "05:30", "parts": [PART], "repeat": 2}],
        "languages": ["vi"],
        "offset_s": 0,
    },
    "alert": {
        "phrases": {
            "any": {"siren": "a" * 64, "siren_s": 5, "text_s": 5, "text": {"vi": "b" * 64}}
        },
        "exercise_phrase": {"vi": "c" * 64},
        "exercise_s": 5,
        "onset_phrase": {"vi": "e" * 64},
        "onset_s": 5,
        "repeat": {"normal": 1, "priority": 2, "urgent": 3},
        "interval_s": 0,
        "expires_default_s": 3600,
    },
    "regulation": {"noise": "lower", "programme_db": -12.0},
    "horns": [{"bearing_deg": 0.0, "sensitivity_db": 108.0, "power_w": 30.0}],
    "dwelling": {"distance_m": 50.0, "bearing_deg": 0.0},
}
"""Every number that a file may give, with a value that is right."""

RULES: Final = """
name = "own"
title = "t"
in_force_from = "2020-01-01"
in_force_to = "2099-12-31"
source = "s"
verified = true
minutes_per_day = 120
[[hours]]
start = "05:30"
end = "19:30"
[[noise]]
area = "common"
start = "06:00"
end = "22:00"
limit_dba = 70.0
"""


def leaves(table: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(table, dict | list):
        entries = table.items() if isinstance(table, dict) else enumerate(table)
        return [leaf for key, one in entries for leaf in leaves(one, (*path, key))]
    return [path]


def changed(table: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(table) if isinstance(table, dict) else list(table)
    copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


def read(table: dict[str, Any]) -> ControlConfig | list[str]:
    errors: list[str] = []
    config = build(ControlConfig, table, where="node.toml", errors=errors, what="control")
    return errors if config is None else config


def live(config: ControlConfig) -> None:
    """Let a node with `config` take a warning, an exercise and its own items, for two days."""
    rules = (load_rule_file(RULES, where="own.toml"),)
    node = Controller("coc-1", config, rules, {})
    now_ns, count = 10**12, 0

    def order(by: SeedSigner, kind: Kind, content: bytes, ordered: MessageClass) -> None:
        nonlocal count
        count += 1
        at_s = (now_ns - 10**12) // NS_PER_S + BEGIN_S
        message = Message(
            kind=kind,
            key_id=by.key_id,
            counter=count,
            issued_s=at_s,
            ttl_s=600,
            message_class=ordered,
            area=AREA,
            content=content,
        )
        node.receive_message("order", seal(message, by), now_ns)

    node.receive_time(BEGIN_S * NS_PER_S, now_ns, synchronised=True)
    tier = config.priority.tiers[0]
    claim = Certificate("pctt", PROVINCE.public_key, tier, AREA, MessageClass.URGENT, 1 << 39)
    order(ROOT, Kind.CERTIFICATE, msgspec.json.encode(claim), MessageClass.NORMAL)
    for number, ordered in enumerate(MessageClass, 1):
        content = encode_short("alert", number, exercise=ordered is MessageClass.NORMAL)
        order(PROVINCE, Kind.SHORT_ALERT, content, ordered)
    for _ in range(300):
        while (event := node.next_event()) is not None:
            source = getattr(event, "source", None)
            if isinstance(source, int) and hasattr(event, "media"):
                known = node.source_class(source)
                assert known is not None
                assert math.isfinite(config.priority.rank(*known))
                node.receive_grants((source,), now_ns)
        at_ns = node.next_deadline_ns()
        if at_ns is None or at_ns > 10**12 + 2 * 86_400 * NS_PER_S:
            break
        now_ns = max(at_ns, now_ns)
        node.handle_deadline(now_ns)


ODD: Final = st.one_of(
    st.integers(-3, 3),
    st.integers(-(1 << 70), 1 << 70),
    st.sampled_from((10**4, 10**5, 10**6, 86_400, 1 << 31, 1 << 63, -(1 << 63))),
    st.floats(),
    st.sampled_from(("", "00:00", "24:00", "a" * 64, "A" * 64, "sha1:" + "a" * 40, "²", "xx")),
    st.text(max_size=5),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(leaves(GOOD)), ODD), min_size=1, max_size=3))
@example([(("alert", "phrases", "any", "siren_s"), 0)])
@example([(("alert", "phrases", "any", "text_s"), -1)])
@example([(("alert", "exercise_s"), 0)])
@example([(("alert", "onset_s"), 10**6)])
@example([(("priority", "tiers", 1), "county")])
@example([(("priority", "tiers", 2), "hamlet")])
@example([(("site", "lat_deg"), math.inf)])
@example([(("priority", "tiers", 2), "\n\x1e")])
def test_what_check_calls_good_works_to_the_end_of_a_warning(changes):
    table = GOOD
    for path, value in changes:
        table = changed(table, path, value)
    config = read(table)
    if isinstance(config, ControlConfig):
        live(config)
    else:
        assert all("node.toml: " in line and "must be" in line for line in config), config


def value_at(table: Any, path: tuple[Any, ...]) -> Any:
    return value_at(table[path[0]], path[1:]) if path else table


NUMBERS: Final = [p for p in leaves(GOOD) if isinstance(value_at(GOOD, p), int | float)]


@pytest.mark.parametrize("path", NUMBERS, ids=lambda path: ".".join(map(str, path)))
def test_every_number_has_a_range_that_names_it(path):
    kind = type(value_at(GOOD, path))
    for value in (-(1 << 70), 1 << 70):
        faults = read(changed(GOOD, path, kind(value)))
        assert isinstance(faults, list)
        assert any(isinstance(key, str) and key in "".join(faults) for key in path[-2:])


def numbers_of(cls: type, path: str = "") -> list[str]:
    found = []
    for one in fields(cls):
        value = one.default_factory() if one.default_factory is not MISSING else one.default
        name = f"{path}{one.name}"
        if one.type in (int, float, "int", "float"):
            found.append(name)
        elif is_dataclass(value) and not isinstance(value, type):
            found += numbers_of(type(value), f"{name}.")
    return found


def test_no_number_of_the_settings_was_left_out_above():
    given_ = {".".join(map(str, path)) for path in leaves(GOOD)}
    assert set(numbers_of(ControlConfig)) <= given_


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("limit_dba = 70.0", "limit_dba = nan", "limit_dba = nan"),
        ("limit_dba = 70.0", "limit_dba = 0.0", "20 to 120"),
        ("minutes_per_day = 120", "minutes_per_day = 0", "1 to 1440"),
        ('in_force_from = "2020-01-01"', 'in_force_from = "2020-W01-1"', "dates like"),
        ('in_force_to = "2099-12-31"', 'in_force_to = "2019-12-31"', "not before in_force_from"),
        ('start = "05:30"', 'start = "24:00"', "hh:mm"),
        (
            "[[noise]]",
            'on = { recurrence = "DTSTART:20260101T223000Z\\nRRULE:FREQ=DAILY" }\n[[noise]]',
            "without Z",
        ),
    ],
)
def test_a_wrong_entry_of_a_rule_file_is_named_with_its_file(old, new, why):
    with pytest.raises(ConfigError) as refused:
        load_rule_file(RULES.replace(old, new), where="own.toml")
    assert "own.toml: " in str(refused.value) and why in str(refused.value)
