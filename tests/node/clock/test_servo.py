"""The card's own clock is learned, within bounds."""

import pytest

from node.clock.servo import UNITY_Q32
from tests.node.clock.conftest import Servo


def follow(card_ppm, *, seconds, error_first_samples=0.0):
    servo, error = Servo(), error_first_samples
    errors = []
    for _ in range(seconds * 100):
        step = servo.step_q32(round(error * 65536), 480)
        error += 480 * (1 + card_ppm * 1e-6) - 480 * step / UNITY_Q32
        errors.append(error)
    return errors, servo


@pytest.mark.parametrize("card_ppm", [-104, 5, 104, 400])
def test_a_card_with_a_wrong_crystal_is_held_to_within_a_twentieth_of_a_millisecond(card_ppm):
    errors, servo = follow(card_ppm, seconds=300)
    assert max(abs(e) for e in errors) < 0.005 * 48_000
    assert abs(errors[-1]) < 2.4
    assert servo.correction_ppm == pytest.approx(card_ppm, abs=0.5)


def test_the_pitch_is_never_bent_further_than_the_clamp():
    _, servo = follow(0, seconds=1, error_first_samples=2_000)
    assert servo.correction_ppm == pytest.approx(500)
    assert servo.step_q32(10**12, 480) == UNITY_Q32 + round(500e-6 * UNITY_Q32)
    assert servo.step_q32(-(10**12), 480) == UNITY_Q32 - round(500e-6 * UNITY_Q32)


def test_without_an_error_samples_are_copied():
    servo = Servo()
    assert all(servo.step_q32(error, 480) == UNITY_Q32 for error in (0, 1, -1, 6_500, -6_500))


def test_a_large_error_is_worked_off_without_swinging_over():
    errors, _ = follow(0, seconds=200, error_first_samples=480)
    assert min(errors) > -60
    assert abs(errors[-1]) < 2.4
