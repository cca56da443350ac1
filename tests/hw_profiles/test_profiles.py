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
    text = board.read_text().replace("receive_us = { value = 54,", 'receive_us = { value = "x",')
    board.write_text(text.replace("boot_s = { value = 22,", "boot_s = { value = -2,") + "fan = 1\n")
    horn = folder / "horns" / "horn_30w.toml"
    horn.write_text(horn.read_text().replace("per_pole = { value = 2,", "per_pole = { value = 99,"))

    with pytest.raises(ConfigError) as caught:
        hw_profiles.load("pi_4b_usb", folder=folder)

    lines = str(caught.value).splitlines()
    assert any("boards/pi_4b.toml: fan: unknown" in line for line in lines)
    assert any("receive_us.value = 'x': must be a number" in line for line in lines)
    assert any("horn.per_pole.value = 99" in line and "1 to 16" in line for line in lines)


def test_each_field_that_did_nothing_is_named_with_what_to_do(tmp_path):
    folder = tmp_path / "hw_profiles"
    shutil.copytree(hw_profiles.FOLDER, folder)
    gone = {
        "boards/pi_4b.toml": ("cores", "idle_w", "full_w"),
        "amplifiers/classd_2x50.toml": ("efficiency", "idle_w"),
        "horns/horn_30w.toml": ("high_hz", "angle_1khz_deg", "angle_4khz_deg"),
    }
    for name, gone_fields in gone.items():
        with (folder / name).open("a") as file:
            file.writelines(
                f'{one} = {{ value = 1, source = "x", verified = true }}\n' for one in gone_fields
            )

    with pytest.raises(ConfigError) as caught:
        hw_profiles.load("pi_4b_usb", folder=folder)

    assert str(caught.value).splitlines() == [
        f"hw_profiles/{name}: {one}: did nothing and is gone; remove its line"
        for name, gone_fields in gone.items()
        for one in gone_fields
    ]


def test_a_profile_that_names_a_missing_part_is_answered_with_the_known_parts(tmp_path):
    folder = tmp_path / "hw_profiles"
    shutil.copytree(hw_profiles.FOLDER, folder)
    path = folder / "pi_5_i2s.toml"
    path.write_text(path.read_text().replace("i2s_dac", "walkman"))

    with pytest.raises(ConfigError, match="'walkman': must be one of i2s_dac, usb_dac"):
        hw_profiles.load("pi_5_i2s", folder=folder)
