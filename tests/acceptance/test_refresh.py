"""What the station gives later reaches nodes that were off, by the broker or on a stick."""

import asyncio
import shutil

import msgspec
import pytest
from cryptography import x509

from node.control.trust.signature import SeedSigner
from node.shell.cli import main as node_main
from node.shell.enrol import install
from node.shell.enrol.papers import Grant, grant_topic, open_paper, seal_paper
from node.shell.enrol.refresh import take_waiting
from node.shell.faults import ShellError
from node.shell.station import send
from node.shell.station.folder import Station
from node.shell.station.link import at_broker, put
from node.shell.store.read import read_kept
from node.shell.store.whole import write_file
from tests.acceptance.commune import AREA, Commune


def refresh(commune: Commune, folder, *more: str) -> tuple[int, str]:
    status = node_main(["refresh", "--config", str(folder / "node.toml"), *more])
    said = commune.capsys.readouterr()
    return status, said.out + said.err


def start(commune: Commune, folder) -> str:
    """Let the node run for a moment: it takes what waits."""
    status = node_main(["run", "--config", str(folder / "node.toml"), "--duration", "0.3"])
    said = commune.capsys.readouterr()
    assert status == 0, said
    return said.err


@pytest.fixture
def pole(commune):
    commune.sound()
    folder = commune.gateway("gateway")
    commune.enrol(folder, "coc-1")
    return folder


def test_a_newer_grant_is_taken_at_the_next_start_and_the_same_one_is_not(commune, pole):
    assert "nothing new" in refresh(commune, pole)[1]
    settings = commune.station / "node.toml"
    settings.write_text(settings.read_text() + "\n[audio]\nhigh_pass_hz = 250\n")
    commune.does("send")
    status, said = refresh(commune, pole)
    assert status == 0 and "grant 2 waits" in said
    assert "high_pass_hz" not in (pole / "node.toml").read_text()
    start(commune, pole)
    assert "high_pass_hz = 250" in (pole / "node.toml").read_text()
    assert not (pole / "grant.new").exists()
    assert "nothing new" in refresh(commune, pole)[1]


def test_a_grant_is_installed_when_its_configuration_is_on_the_disk_and_not_before(
    commune, pole, monkeypatch, caplog
):
    settings = commune.station / "node.toml"
    settings.write_text(settings.read_text() + "\n[audio]\nhigh_pass_hz = 250\n")
    commune.does("send")
    refresh(commune, pole)

    def full(path, data, **more):
        if path == pole / "node.toml":
            raise ShellError(f"{path}: the disk is full")
        write_file(path, data, **more)

    with monkeypatch.context() as at_first:
        at_first.setattr(install, "write_file", full)
        start(commune, pole)
    assert "not taken: " in caplog.text
    assert "grant 2 waits" in refresh(commune, pole)[1], "it is given again"
    start(commune, pole)
    assert "high_pass_hz = 250" in (pole / "node.toml").read_text()


def test_a_running_node_ends_for_a_fresh_start_when_nothing_sounds(commune, pole):
    node = commune.run(pole)
    commune.does("send")
    assert refresh(commune, pole)[0] == 0
    _, said = node.communicate(timeout=60)
    assert node.returncode == 0 and "a fresh start takes it" in said


def test_an_identity_that_ends_soon_is_renewed_and_the_node_comes_in_with_it(
    commune, pole, monkeypatch
):
    def end():
        return x509.load_pem_x509_certificate((pole / "tls.pem").read_bytes()).serial_number

    before = end()
    commune.does("send")
    refresh(commune, pole)
    start(commune, pole)
    assert end() == before
    monkeypatch.setattr(send, "RENEW_S", 6 * 365 * 86_400)
    commune.does("send")
    assert refresh(commune, pole)[0] == 0
    start(commune, pole)
    assert end() != before
    assert refresh(commune, pole)[0] == 0  # by its new identity


def test_a_revocation_reaches_a_node_that_was_off_and_one_that_only_a_stick_reaches(
    commune, pole, tmp_path
):
    hamlet = tmp_path / "hamlet.key"
    hamlet.write_bytes(b"h" * 32)
    hamlet.chmod(0o600)
    public = SeedSigner(b"h" * 32).public_key.hex()
    order = ("order", "certificate", public, "--tier", "hamlet", "--area", f"{AREA}/coc-1")
    key = ("--key", str(commune.station / "commune.key"))
    sealed = str(commune.station / "orders" / "hamlet.bin")
    assert node_main([*order, *key, "--out", sealed]) == 0
    stick = tmp_path / "stick"
    commune.does("send", "--stick", str(stick))
    assert refresh(commune, pole, "--stick", str(stick))[0] == 0
    start(commune, pole)
    mute = ("order", "mute", "--area", f"{AREA}/coc-1", "--key", str(hamlet))
    assert commune_publish(commune, pole, mute) == "obeyed"
    commune.does("revoke", public)
    commune.does("send", "--stick", str(stick))
    shutil.rmtree(stick / "media")  # the sounds are there: they are not asked for again
    assert refresh(commune, pole, "--stick", str(stick))[0] == 0
    start(commune, pole)
    assert any(one.startswith("revocation/") for one in read_kept(pole / "kept.db"))
    assert commune_publish(commune, pole, mute) == "unknown key"


def commune_publish(commune: Commune, pole, order: tuple[str, ...]) -> str:
    """Give an order to the running node; return its fate there."""
    out = commune.folder / "given.bin"
    assert node_main([*order, "--out", str(out)]) == 0
    node = commune.run(pole)
    commune.capsys.readouterr()
    files = {"ca": "ca.pem", "certificate": "office.pem", "key": "office.key"}
    tls = [x for k, v in files.items() for x in (f"--{k}-file", str(commune.station / v))]
    where = ("--broker", f"127.0.0.1:{commune.port}", "--village", "huu-lien", "--node", "coc-1")
    node_main(["publish", str(out), *where, *tls, "--wait", "5"])
    said = commune.capsys.readouterr().out
    node.terminate()
    node.communicate(timeout=60)
    return said.partition("coc-1: ")[2].partition(" after")[0]


async def offer(commune: Commune, change: dict[str, object], signer: SeedSigner | None) -> None:
    """Put a grant of our own making in place of the station's, for whoever can write there."""
    station = Station.open(commune.station)
    entry = station.node("coc-1")
    assert entry is not None
    grant, _ = open_paper(send.make_grant(station, entry, ()), Grant)
    forged = msgspec.structs.replace(grant, **{"number": 9, **change})
    sealed = seal_paper(forged, signer or station.signer("commune"))
    async with at_broker(station) as connection:
        await put(connection, grant_topic("huu-lien", entry.public_key), sealed)


async def test_a_grant_that_is_not_the_communes_or_names_another_root_is_not_taken(commune, pole):
    settings = (pole / "node.toml").read_text()
    root = settings.partition('root_public_key = "')[2][:64]
    other = settings.replace(root, "ab" * 32)
    emergency = SeedSigner((commune.station / "emergency.key").read_bytes())
    bad = [
        ({}, SeedSigner(b"x" * 32), "unknown key"),
        ({}, emergency, "only a commune's key may"),
        ({"settings": other}, None, "names another root"),
        ({"settings": "name = 7"}, None, "settings are wrong"),
        ({"name": "coc-2"}, None, "for another node"),
    ]
    for change, signer, words in bad:
        await offer(commune, change, signer)
        status, said = await asyncio.to_thread(refresh, commune, pole)
        assert status == 1 and words in said, said
        assert not (pole / "grant.new").exists()
    (pole / "grant.new").write_bytes(b"nonsense")
    await asyncio.to_thread(take_waiting, pole / "node.toml")
    assert (pole / "node.toml").read_text() == settings
    assert not (pole / "grant.new").exists()


def test_a_root_that_is_followed_reaches_nodes_by_the_broker_or_on_a_stick_and_new_ones_too(
    commune, pole, tmp_path
):
    assert 'next_root = "' in (pole / "node.toml").read_text()
    said = commune.does("root", "rotate", "--overlap", "30")
    assert "root-3.key to another place" in said and "next" in said
    commune.does("send", "--stick", str(tmp_path / "stick"))
    status, said = refresh(commune, pole, "--stick", str(tmp_path / "stick"))
    assert status == 0 and "waits" in said, said
    start(commune, pole)
    kept = read_kept(pole / "kept.db")
    assert [name for name in kept if name.startswith("root/")]
    # From now on the root that follows has the say: the commune's key is certified by it.
    commune.does("send")
    status, said = refresh(commune, pole)
    assert status == 0 and "waits" in said, said
    start(commune, pole)
    other = commune.gateway("second gateway")
    commune.enrol(other, "coc-2")
    assert commune.does("root", "rotate", "--overlap", "30")
    commune.does("send")
    for folder in (pole, other):
        assert refresh(commune, folder)[0] == 0
        start(commune, folder)
        assert (
            len([name for name in read_kept(folder / "kept.db") if name.startswith("root/")]) == 2
        )
    assert "was promised already" in commune.does("root", "next", status=2)


def test_no_grant_names_another_root_that_is_to_follow(commune, pole):
    about = commune.station / "station.json"
    digest = msgspec.json.decode(about.read_bytes())["next_root"]
    about.write_text(about.read_text().replace(digest, "0" * 64))
    commune.does("send")
    status, said = refresh(commune, pole)
    assert status != 0 and "names another root that is to follow" in said
