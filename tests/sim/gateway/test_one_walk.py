"""A crystal is one model: what a node of any tier has goes by the same steps."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sim.chance.rng import Purpose, stream
from sim.gateway.crystal import Oscillator

MINUTE_NS = 60 * 10**9


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    st.integers(0, 10_000),
    st.floats(0, 60),
    st.floats(-80, 0),
    st.floats(0, 50),
    st.floats(-20, 60),
)
def test_a_crystal_warms_up_and_wanders_as_its_figures_say(seed, sigma, curve, wander, ambient_c):
    one, calm = (
        Oscillator(
            stream(seed, Purpose.CRYSTAL, commune="A", node="a"),
            sigma_ppm=sigma,
            max_ppm=100.0,
            curve_ppb_per_k2=curve,
            wander_ppb=walks,
            ambient_c=ambient_c,
        )
        for walks in (wander, 0.0)
    )
    ppb = [round(1000 * calm.skew_ppm(minute * MINUTE_NS)) for minute in range(60)]
    warmth_c, right = 0.0, []
    for _ in range(60):
        right.append(round(curve * (ambient_c + warmth_c - 25) ** 2))
        warmth_c += (12 - warmth_c) * 0.1
    made = ppb[0] - right[0]
    assert abs(made) <= 100_000
    assert all(abs(a - made - b) <= 1 for a, b in zip(ppb, right, strict=True))
    walk = [1000 * one.skew_ppm(i * MINUTE_NS) - a for i, a in enumerate(ppb)]
    steps = [abs(b - a) for a, b in zip([0.0, *walk], walk, strict=False)]
    assert max(steps) <= 5 * round(wander) + 1  # the table of quantiles ends before that
