from pathlib import Path

import pytest

from sim.sweep.settings import read_variants
from sim.sweep.sweep import WARNING, Sweep
from sim.village import scenario
from tests.sim.villages import village

VILLAGE = village(
    {
        ("Thôn Đoài", 0, 0): (
            ("d-01", "pi_4b_i2s", "ftth", 0, 0),
            ("d-02", "pi_zero_2w_i2s", "lte_weak", 350, -200),
        ),
        ("Thôn Đông", 900, 0): (
            ("d-03", "pi_4b_i2s", "lte_good", 0, 0),
            ("d-04", "pi_4b_i2s", "lte_weak", 0, 300),
        ),
    },
    duration_s=2.0,
)

UNKNOWN = """
[[clusters]]
bearer = "lte_weak"
moved_m = 300
bearers = { lte_weak = 0.6, lte_good = 0.3, no_signal = 0.1 }
profiles = { pi_4b_i2s = 1, pi_zero_2w_i2s = 1 }

[[outages]]
kind = "power_cut"
shared_by = "hamlet"
per_year = { value = 400, source = "assumption: a bad week", verified = false }
hours_per_year = { value = 1500, source = "assumption", verified = false }

[[inputs]]
name = "lte_weak.loss_pct"
low = 0.5
high = 30.0

[households]
d-01 = 80
d-02 = 20
d-03 = 5
d-04 = 40
"""


@pytest.fixture
def files(tmp_path: Path):
    """Return the paths of a scenario and of what is not known of it."""
    village, unknown = tmp_path / "doai.toml", tmp_path / "villages.toml"
    village.write_text(VILLAGE)
    unknown.write_text(UNKNOWN)
    return village, unknown


@pytest.fixture
def asked(files):
    """Return a small sweep of orders: 4 sampled villages, 3 seeds in each, two variants."""
    from sim.sweep.sampling import read_sample

    loaded = scenario.load(files[0])
    return Sweep(
        scenario=loaded,
        variants=read_variants(["outages=drawn,none"]),
        sample=read_sample(files[1], loaded),
        villages=4,
        seeds=3,
        measures=(WARNING,),
        ttl_s=600,
    )
