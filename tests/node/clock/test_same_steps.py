"""What is left out where it changes nothing gives the same bits as the whole formula."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from node.clock.line import SLEW_MAX
from node.clock.servo import UNITY_Q32, Servo, new_servo, servo_step
from node.clock.timebase import Timebase
from node.kernel import kernel
from node.kernel.record import Records
from node.units import NS_PER_MS, NS_PER_S

ahead = st.one_of(
    st.sampled_from([0.0, 998.9, 999.0, 999.1, 1000.0, 1000.1, 3e5, 3.1e5]),
    st.floats(0, 2000), st.floats(0, 4e7),
)  # fmt: skip


def slewed(ahead_ns: float, delay_ns: float, target_ns: int, elapsed: float, slope: float):
    """Return what is left of a correction and the delay after a while, and the rate meanwhile."""

    def toward_zero(value: float, step: float) -> float:
        return -min(max(value, -step), step)

    budget = SLEW_MAX * elapsed
    moved = toward_zero(delay_ns - target_ns, budget)
    settle_ns = 0.5 * NS_PER_S if abs(ahead_ns) > 0.3 * NS_PER_MS else 1.0 * NS_PER_S
    share = max(1e-6, abs(ahead_ns) / settle_ns) * elapsed
    settled = toward_zero(ahead_ns, min(share, budget - abs(moved)))
    rate_ppm = 1e6 * (-slope / (1.0 + slope) + (settled - moved) / elapsed)
    return ahead_ns + settled, delay_ns + moved, rate_ppm


@given(
    ahead_ns=ahead, is_back=st.booleans(), more_ns=st.sampled_from([0, 0, 1, -5000, 40_000_000]),
    elapsed_ns=st.integers(1, 10**9), slope=st.sampled_from([0.0, 3e-5, -4.4e-5]),
)  # fmt: skip
@example(ahead_ns=0.0, is_back=False, more_ns=0, elapsed_ns=10_000_000, slope=0.0)
def test_a_correction_is_slewed_by_the_formula(ahead_ns, is_back, more_ns, elapsed_ns, slope):
    timebase = Timebase(400 * NS_PER_MS)
    timebase.receive_packet(0, NS_PER_S)
    timebase.position_q16(2 * NS_PER_S)
    line = timebase.line
    line["ahead_ns"], line["slope"] = (-ahead_ns if is_back else ahead_ns) + 0.0, slope
    line["delay_ns"] = 400.0 * NS_PER_MS + more_ns
    before = float(line["ahead_ns"][0]), float(line["delay_ns"][0])
    timebase.position_q16(2 * NS_PER_S + elapsed_ns)

    found = [line[name][0] for name in ("ahead_ns", "delay_ns", "rate_ppm")]
    wanted = slewed(*before, 400 * NS_PER_MS, float(elapsed_ns), slope)
    assert np.array(found).tobytes() == np.array(wanted).tobytes()


@given(
    error_q16=st.one_of(st.integers(-7000, 7000), st.integers(-(1 << 22), 1 << 22)),
    integral_ppm=st.one_of(st.just(0.0), st.floats(-600, 600, allow_subnormal=False)),
    known_ppm=st.floats(-600, 600, allow_subnormal=False), n=st.sampled_from([480, 64, 4096]),
)  # fmt: skip
def test_a_servo_within_its_dead_band_steps_by_the_formula(error_q16, integral_ppm, known_ppm, n):
    servo = new_servo()
    servo["integral_ppm"], servo["feed_forward_ppm"] = integral_ppm, known_ppm
    step = int(_step(servo, error_q16, n))

    error = error_q16 / 65536.0
    error = error - 0.1 if error > 0.1 else error + 0.1 if error < -0.1 else 0.0
    error_ppm_s = error * (1e6 / 48_000)
    integral = integral_ppm + error_ppm_s * 0.01 * (n / 48_000)
    correction = integral + error_ppm_s * 0.2
    kept = integral if -500 <= correction <= 500 else integral_ppm
    total = min(max(correction, -500.0), 500.0) + known_ppm
    assert (step, servo["correction_ppm"][0]) == (
        UNITY_Q32 + round(total * (UNITY_Q32 * 1e-6)), total,
    )  # fmt: skip
    assert servo["integral_ppm"][0] == kept


@kernel("int64(Servo[::1], int64, int64)")
def _step(servos: Records[Servo], error_q16: int, n: int) -> int:
    """See `servo_step`."""
    return servo_step(servos, error_q16, n)
