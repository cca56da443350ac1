"""A small village with a day."""

import pytest

from tests.sim.villages import village as village_text

DAY = """
[day]
date = "2026-11-23"
rules = ["noise_qcvn_26_2010", "noise_qcvn_26_2025", "hours_common"]

[day.volume]
volume = 75
emergency_floor = 90

[[day.houses]]
cluster = "a-1"
distance_m = 40
bearing_deg = 0

[[day.programme.items]]
name = "dawn"
start = "05:00"
parts = [{ kind = "file", duration_s = 20, media = { vi = "announcement_vi.flac" } }]

[[day.programme.items]]
name = "evening"
start = "17:00"
parts = [{ kind = "file", duration_s = 20, media = { vi = "announcement_vi.flac" } }]

[[day.programme.items]]
name = "province"
start = "17:00"
message_class = "priority"
level = "province"
parts = [{ kind = "file", duration_s = 10, media = { vi = "announcement_vi.flac" } }]

[day.alert.phrases.any]
siren = "siren.flac"
siren_s = 4

[[day.orders]]
at = "02:00"
kind = "alert"
"""
VILLAGE = village_text(
    {
        ("A1", 0, 0): [
            ("a-1", "pi_4b_usb", "ftth", 0, 0),
            ("a-2", "pi_4b_usb", "lte_weak", 100, 0),
            ("a-3", "pi_5_i2s", "wifi24_outdoor", 1000, 0),
        ]
    },
    duration_s=5,
    more=DAY,
    seed=5,
    playout_delay_ms=400,
    commune="A",
)


@pytest.fixture
def village(tmp_path):
    path = tmp_path / "village.toml"
    path.write_text(VILLAGE)
    return path
