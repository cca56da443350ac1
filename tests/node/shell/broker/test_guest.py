"""Which broker a command speaks to, and as whom."""

import argparse
import unicodedata

import pytest

from node.config import ConfigError
from node.shell.broker import guest
from node.shell.commands import publish
from node.shell.faults import ShellError
from sim.sender import broker_path

VILLAGE = "hữu-liên"
BROKER = ("--broker", "10.1.7.1:8883")


def of_publish(*arguments):
    parser = argparse.ArgumentParser()
    publish.add_parser(parser.add_subparsers())
    return parser.parse_args(["publish", "order.bin", "--node", "a", *BROKER, *arguments])


def of_send(*arguments):
    parser = argparse.ArgumentParser()
    broker_path.add_options(parser)
    return parser.parse_args([*BROKER, *arguments])


@pytest.mark.parametrize("options", [of_publish, of_send])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_village_is_one_however_its_name_was_typed(options, form):
    config = guest.config_of(options("--village", unicodedata.normalize(form, VILLAGE)))
    assert config.village == unicodedata.normalize("NFC", VILLAGE)


@pytest.mark.parametrize("options", [of_publish, of_send])
def test_what_is_wrong_is_named(options):
    with pytest.raises((ShellError, ConfigError), match="--broker"):
        guest.config_of(options("--broker", "nowhere"))
    with pytest.raises(ConfigError, match="key_file"):
        guest.config_of(options("--certificate-file", "a.pem"))


def test_a_guest_has_a_name_of_its_own_each_time():
    config = guest.config_of(of_publish("--username", "office"))
    one, other = guest.login(config, "publish"), guest.login(config, "publish")
    assert one.identifier != other.identifier and one.identifier.startswith("publish-")
    assert (one.host, one.port, one.username) == ("10.1.7.1", 8883, "office")
    assert one.session_s == 0
