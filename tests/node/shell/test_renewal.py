"""A new configuration is taken, whatever sounds, and no warning is cut for it."""

import pytest

from node.config import ConfigError
from node.shell.health import Health
from node.shell.renewal import TOLD_NS, WAIT_MAX_NS, Renewal
from node.units import NS_PER_S

SILENT = {"playing": None, "playing_class": None}


def sounding(name):
    return {"playing": 7, "playing_class": name}


def taken_at(renewal, health, status, from_ns, to_ns):
    """Look each 5 s, as the service does; return when it is taken, or None."""
    for now_ns in range(from_ns, to_ns, 5 * NS_PER_S):
        if renewal.is_due(status(now_ns), health, now_ns):
            return now_ns
    return None


@pytest.mark.parametrize("name", ["normal", "priority"])
def test_a_programme_that_never_ends_puts_a_configuration_off_for_an_hour_and_no_longer(name):
    health, renewal = Health(), Renewal(None, lambda: None)
    renewal.read_again(health, 0)
    before = taken_at(renewal, health, lambda _: sounding(name), 0, TOLD_NS)
    assert before is None and health.why() == ()
    # Who asks again and again does not put it off.
    for now_ns in range(0, WAIT_MAX_NS, 60 * NS_PER_S):
        renewal.read_again(health, now_ns)
    at_ns = taken_at(renewal, health, lambda _: sounding(name), TOLD_NS, 2 * WAIT_MAX_NS)
    assert at_ns == WAIT_MAX_NS and renewal.begins_anew
    assert any(one.startswith("configuration: ") for one in health.why()), "it was said before"


def test_an_urgent_warning_is_not_cut_for_a_configuration():
    health, renewal = Health(), Renewal(None, lambda: None)
    renewal.read_again(health, 0)
    ends_ns = 3 * WAIT_MAX_NS
    at_ns = taken_at(
        renewal,
        health,
        lambda now_ns: sounding("urgent") if now_ns < ends_ns else SILENT,
        0,
        2 * ends_ns,
    )
    assert at_ns == ends_ns
    assert any(one.startswith("configuration: ") for one in health.why())


def test_in_silence_it_is_taken_at_once_and_a_bad_one_never():
    health = Health()
    assert not Renewal(None, None).is_due(SILENT, health, 0)
    good = Renewal(None, lambda: None)
    good.read_again(health, 0)
    assert good.is_due(SILENT, health, 0)

    def refuse():
        raise ConfigError("sink.latency_ms = 'x'")

    bad = Renewal(None, refuse)
    bad.read_again(health, 0)
    assert not bad.is_due(SILENT, health, WAIT_MAX_NS)
    assert health.why() == ("configuration: sink.latency_ms = 'x'",)


def test_what_a_station_gave_waits_for_silence():
    health, renewal = Health(), Renewal(lambda: True, None)
    assert not renewal.is_due(sounding("normal"), health, 0)
    assert renewal.is_due(SILENT, health, 5) and not renewal.begins_anew
