import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.config import ConfigError
from sim.village import scenario
from sim.village.places import build_village, node_config


def changed(tmp_path, *changes, name="perfect"):
    text = (scenario.FOLDER / f"{name}.toml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", scenario.names())
def test_every_scenario_that_ships_becomes_a_village(name):
    loaded = scenario.load(name)
    village = build_village(loaded)
    assert loaded.title and loaded.question
    assert len({place.node for place in village.places}) == len(village.places)
    assert all(place.hamlet and place.commune for place in village.places)


def test_huu_lung_has_its_six_communes_and_66_clusters():
    village = build_village(scenario.load("huu_lung_six"))
    communes = {place.commune for place in village.places}
    assert communes == {"Thiện Tân", "Hoà Bình", "Quyết Thắng", "Hoà Thắng", "Yên Sơn", "Hữu Liên"}
    assert len(village.places) == 66
    bearers = {place.bearer_name for place in village.places}
    assert bearers == {"lte_good", "lte_weak", "wifi24_outdoor", "ftth"}


def test_all_faults_of_a_scenario_are_named_at_once(tmp_path):
    path = changed(
        tmp_path,
        ("packet_ms = 20", "packet_ms = 33"),
        ("seed = 1", "seed = -1"),
        ('profile = "pi_zero_2w_i2s"', 'profile = "pi_9"'),
        ('bearer = "perfect"', 'bearer = "pigeon"'),
        ('name = "p-02"', 'name = "p-01"'),
        (
            "[[communes]]",
            '[[faults]]\nkind = "power_cut"\nfrom_s = 9\nuntil_s = 3\n'
            'hamlet = "Nowhere"\n\n[[communes]]',
        ),
    )
    with pytest.raises(ConfigError) as caught:
        scenario.load(path)
    text = str(caught.value)
    for words in (
        "mine.toml: sender.packet_ms = 33: must be one of 10, 20, 40, 60",
        "scenario.seed = -1",
        "communes[0].hamlets[0].clusters[0].profile = 'pi_9': must be one of pi_3b_plus_i2s",
        ".bearer = 'pigeon': must be one of backhaul_fibre",
        ".name = 'p-01': already the name of",
        "faults[0].hamlet = 'Nowhere'",
        "faults[0].until_s = 3.0: must be after",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("title =", "tittle ="), "tittle: unknown; known here:"),
        (("title =", "title ==="), "not TOML"),
        (("announcement_vi.flac", "gone.mp3"), "sender.file = 'gone.mp3'"),
        (('bearer = "perfect"', 'bearer = "trace:gone.csv"'), "no file"),
        (("seed = 1", 'seed = 1\nname = "x"'), "name: unknown"),
        (("skew_ppm = 0.0", "skew_ppm = 900.0"), "skew_ppm = 900.0: must be -500 to 500"),
    ],
)
def test_a_fault_of_a_scenario_is_named_with_what_is_right(tmp_path, change, words):
    with pytest.raises(ConfigError, match=words.replace("[", r"\[")):
        scenario.load(changed(tmp_path, change))


def test_an_unknown_scenario_is_answered_with_those_that_ship():
    with pytest.raises(ConfigError, match="huu_lung_six"):
        scenario.load("atlantis")


def test_the_hash_is_of_the_question_and_not_of_the_seed(tmp_path):
    def hash_of(path):
        return build_village(scenario.load(path)).scenario_hash

    original = hash_of("perfect")
    assert hash_of(changed(tmp_path, ("seed = 1", "seed = 2"))) == original
    assert hash_of(changed(tmp_path, ("skew_ppm = 0.0", "skew_ppm = 1.0"))) != original


def test_a_scenario_may_bring_a_bearer_and_a_trace_of_its_own(tmp_path):
    (tmp_path / "field.dat").write_text("5\n6\n-1\n")
    text = (scenario.FOLDER.parent / "links" / "bearers" / "ftth.toml").read_text()
    path = changed(
        tmp_path,
        ('bearer = "perfect"', 'bearer = "trace:field.dat"'),
        ('bearer = "perfect"', 'bearer = "own"'),
    )
    path.write_text(path.read_text() + "\n[bearers.own]\n" + text)
    village = build_village(scenario.load(path))
    assert village.places[0].bearer_name == "trace:field.dat"
    assert village.places[0].trace_ns.tolist() == [5_000_000, 6_000_000, -1]
    assert village.places[1].bearer.title == "Fibre to the hamlet house"


def test_a_power_cut_of_a_hamlet_meets_its_clusters_only():
    village = build_village(scenario.load("flood_2025"))
    assert {bool(place.power_cuts_ns) for place in village.places} == {True, False}
    for place in village.places:
        assert bool(place.link_cuts_ns) == place.bearer_name.startswith("lte")


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e300"])
def test_what_is_no_number_of_this_world_is_named(tmp_path, number):
    text = (scenario.FOLDER.parent / "links" / "bearers" / "ftth.toml").read_text()
    text = text.replace("one_way_ms = { value = 2,", f"one_way_ms = {{ value = {number},")
    path = changed(
        tmp_path,
        ("x_m = 0", f"x_m = {number}"),
        ("duration_s = 60.0", f"duration_s = {number}"),
        (
            "[[communes]]",
            f"[[faults]]\nkind = 'power_cut'\nfrom_s = 1\nuntil_s = {number}\n\n[[communes]]",
        ),
    )
    path.write_text(path.read_text() + "\n[bearers.own]\n" + text)
    with pytest.raises(ConfigError) as caught:
        scenario.load(path)
    for field in ("x_m", "duration_s", "one_way_ms"):
        assert field in str(caught.value)


PERFECT = (scenario.FOLDER / "perfect.toml").read_text()


@settings(max_examples=150)
@given(
    st.integers(0, len(PERFECT)),
    st.integers(0, 12),
    st.sampled_from(["", "0", "-1", "nan", '"', "{", "]", "[[", "=", "true", "\n", "é", "x = 1\n"]),
)
def test_a_scenario_with_a_slip_of_the_pen_loads_or_says_what_is_wrong(at, gone, put):
    path = scenario.FOLDER / "perfect.toml"
    text = PERFECT[:at] + put + PERFECT[at + gone :]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(path), "read_text", lambda *_, **__: text)
        with contextlib.suppress(ConfigError):
            build_village(scenario.load(path))


def test_a_profile_protects_its_own_horn_when_the_scenario_says_so(tmp_path):
    path = changed(tmp_path, ("seed = 1", 'protection = "profile"\nseed = 1'))
    loaded = scenario.load(path)
    audio = node_config(build_village(loaded).places[0], loaded).audio
    assert (audio.high_pass_hz, audio.power_limit_db) == (275.0, -3.0)
    plain = scenario.load("perfect")
    assert node_config(build_village(plain).places[0], plain).audio.high_pass_hz is None


PLACES = {
    "commune": ("A", "A", "B"),
    "hamlet": ("Doài", "Đông", "Doài"),
    "cluster": ("p-01", "p-02", "p-03"),
    "bearer": ("perfect", "ftth", "ftth"),
}
"""Three clusters, one of each hamlet; two hamlets have one name."""


def three_clusters(rows):
    """Return a village of two communes, with a day and rows of faults or orders."""
    lines = ['title = "t"\nquestion = "q"\nseed = 1\nduration_s = 5\n', *rows]
    lines.append('[day]\ndate = "2026-11-23"')
    at = ["x_m = 0", "y_m = 0", 'profile = "pi_4b_i2s"']
    for commune, hamlet, cluster, bearer in zip(*PLACES.values(), strict=True):
        if f'[[communes]]\nname = "{commune}"' not in "\n".join(lines):
            lines.append(f'[[communes]]\nname = "{commune}"\nx_m = 0\ny_m = 0')
        fields = ", ".join([f'name = "{cluster}"', f'bearer = "{bearer}"', *at])
        lines.append(f'[[communes.hamlets]]\nname = "{hamlet}"\nx_m = 0\ny_m = 0')
        lines.append(f"clusters = [{{ {fields} }}]")
    return "\n".join(lines) + "\n"


def is_taken(tmp_path_factory, text):
    """Return whether a scenario is taken; what is wrong in it must be its places."""
    path = tmp_path_factory.mktemp("three") / "three.toml"
    path.write_text(text)
    wrong = ""
    try:
        scenario.load(path)
    except ConfigError as fault:
        wrong = str(fault)
    assert not wrong or "no cluster is at all of them" in wrong or "hamlet = " in wrong
    return not wrong


def asked_of(names):
    return st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(sorted(set(PLACES[name]))) for name in names}
    )


def is_somewhere(asked):
    rows = [dict(zip(PLACES, row, strict=True)) for row in zip(*PLACES.values(), strict=True)]
    return any(asked.items() <= row.items() for row in rows)


@settings(max_examples=60)
@given(asked_of(PLACES), st.booleans())
def test_a_fault_that_befalls_nobody_is_no_scenario(tmp_path_factory, asked, by_clock):
    times = 'start = "01:00"\nend = "02:00"' if by_clock else "from_s = 1\nuntil_s = 2"
    where = "\n".join(f'{name} = "{value}"' for name, value in asked.items())
    text = three_clusters([f'[[faults]]\nkind = "power_cut"\n{times}\n{where}'])
    assert is_taken(tmp_path_factory, text) == is_somewhere(asked)


@settings(max_examples=30)
@given(asked_of(("commune", "hamlet")))
def test_an_order_to_a_hamlet_of_another_commune_is_no_scenario(tmp_path_factory, asked):
    where = "\n".join(f'{name} = "{value}"' for name, value in asked.items())
    text = three_clusters([f'[[day.orders]]\nat = "02:00"\nkind = "alert"\n{where}'])
    assert is_taken(tmp_path_factory, text) == is_somewhere(asked)
