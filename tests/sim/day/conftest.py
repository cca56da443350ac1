"""A small village with a day."""

import pytest

VILLAGE = """
title = "Three poles"
question = "For the tests"
seed = 5
duration_s = 5

[jitter]
playout_delay_ms = 400

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

[[communes]]
name = "A"
x_m = 0
y_m = 0

[[communes.hamlets]]
name = "A1"
x_m = 0
y_m = 0
clusters = [
  { name = "a-1", profile = "pi_4b_usb", bearer = "ftth", x_m = 0, y_m = 0 },
  { name = "a-2", profile = "pi_4b_usb", bearer = "lte_weak", x_m = 100, y_m = 0 },
  { name = "a-3", profile = "pi_5_i2s", bearer = "wifi24_outdoor", x_m = 1000, y_m = 0 },
]
"""


@pytest.fixture
def village(tmp_path):
    path = tmp_path / "village.toml"
    path.write_text(VILLAGE)
    return path
