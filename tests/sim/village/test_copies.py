"""A province out of a few communes: `copies` at the top of a scenario."""

import tomllib

import pytest

from node.config import ConfigError
from sim.village import scenario
from sim.village.copies import CLUSTERS_MAX, multiply
from tests.sim.villages import DOAI, village


def written(folder, top):
    path = folder / "copied.toml"
    path.write_text(top + village({("Thôn Đoài", 0, 0): DOAI}, duration_s=5))
    return path


def test_each_copy_has_names_and_a_place_of_its_own(tmp_path):
    found = scenario.load(written(tmp_path, "copies = 5\n"))
    names = [cluster.name for _, _, _, cluster in found.clusters()]
    assert names == ["d-01", "d-02"] + [f"d-0{i}-{n}" for n in range(2, 6) for i in (1, 2)]
    assert [one.name for one in found.communes] == ["Yên Sơn"] + [
        f"Yên Sơn {n}" for n in range(2, 6)
    ]
    assert len({(one.x_m, one.y_m) for one in found.communes}) == 5
    one = scenario.load(written(tmp_path, ""))
    assert one.communes == found.communes[:1]
    assert scenario.load(written(tmp_path, "copies = 1\n")) == one


def test_a_province_of_as_many_clusters_as_are_answered_lies_within_what_a_place_may_be():
    table = tomllib.loads((scenario.FOLDER / "huu_lung_six.toml").read_text("utf-8"))
    clusters = sum(len(h["clusters"]) for one in table["communes"] for h in one["hamlets"])
    errors: list[str] = []
    more = {"communes": table["communes"], "copies": CLUSTERS_MAX // clusters}
    multiply(more, "here", errors)
    places = [(one["x_m"], one["y_m"]) for one in more["communes"]]
    assert errors == []
    assert max(abs(one) for place in places for one in place) < 1e6
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("copies", ["0", "-1", "2.5", '"3"', "true", "100001", str(10**30)])
def test_a_wrong_number_is_named(tmp_path, copies):
    with pytest.raises(ConfigError, match=r"copied\.toml: copies = "):
        scenario.load(written(tmp_path, f"copies = {copies}\n"))


def test_more_clusters_than_one_machine_can_answer_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=f"at most {CLUSTERS_MAX}"):
        scenario.load(written(tmp_path, f"copies = {CLUSTERS_MAX // 2 + 1}\n"))


def test_faults_of_the_communes_are_still_named(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text('title = "x"\nquestion = "?"\ncopies = 3\ncommunes = 7\n')
    with pytest.raises(ConfigError, match="communes"):
        scenario.load(path)
