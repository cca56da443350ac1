import shutil

import pytest

import hw_profiles
from node.config import ConfigError


def test_every_shipped_profile_loads_and_says_where_each_number_comes_from():
    assert len(hw_profiles.names()) == 8
    for name in hw_profiles.names():
        for path, field, figure in hw_profiles.load(name).figures():
            assert figure.source, (path, field)


def test_usb_cards_run_on_a_crystal_of_their_own_and_hat_cards_do_not():
    assert hw_profiles.load("pi_4b_usb").sound_card.own_crystal.value
    assert not hw_profiles.load("pi_4b_i2s").sound_card.own_crystal.value


def test_an_unknown_profile_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match="pi_zero_2w_i2s"):
        hw_profiles.load("pi_9")


def test_all_faults_of_a_profile_are_named_at_once_with_file_field_and_value(tmp_path):
    folder = tmp_path / "hw_profiles"
    shutil.copytree(hw_profiles.FOLDER, folder)
    board = folder / "boards" / "pi_4b.toml"
    text = board.read_text().replace("cores = { value = 4,", 'cores = { value = "four",')
    board.write_text(
        text.replace("idle_w = { value = 2.7,", "idle_w = { value = -2.7,") + "fan = 1\n"
    )
    horn = folder / "horns" / "horn_30w.toml"
    horn.write_text(horn.read_text().replace("{ value = 10000,", "{ value = 100,"))

    with pytest.raises(ConfigError) as caught:
        hw_profiles.load("pi_4b_usb", folder=folder)

    lines = str(caught.value).splitlines()
    assert any("boards/pi_4b.toml: fan: unknown" in line for line in lines)
    assert any("cores.value = 'four': must be a whole number" in line for line in lines)
    assert any("horn.high_hz.value = 100" in line and "above low_hz" in line for line in lines)


def test_a_profile_that_names_a_missing_part_is_answered_with_the_known_parts(tmp_path):
    folder = tmp_path / "hw_profiles"
    shutil.copytree(hw_profiles.FOLDER, folder)
    path = folder / "pi_5_i2s.toml"
    path.write_text(path.read_text().replace("i2s_dac", "walkman"))

    with pytest.raises(ConfigError, match="'walkman': must be one of i2s_dac, usb_dac"):
        hw_profiles.load("pi_5_i2s", folder=folder)
