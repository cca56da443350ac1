"""`loalang-node key` and `order`: what a commune's officer signs, a node obeys."""

import re
import unicodedata

import pytest

from benchmarks.control.control_cap import FLOOD
from node.control.controller import Controller
from node.control.settings import ControlConfig, SiteConfig
from node.control.warning.alert import AlertConfig, PhraseConfig
from node.shell.cli import main
from node.shell.clocks import utc_ns
from sim.sender.seal import srtp_seal

AREA = "vn/lang-son/huu-lien"


class Office:
    """A folder with keys, and a node that trusts the root."""

    def __init__(self, folder, capsys, area=f"{AREA}/coc-1"):
        self.folder, self.capsys = folder, capsys
        self.public = {name: self.key(name) for name in ("root", "province")}
        control = ControlConfig(
            root_public_key=self.public["root"],
            area=area,
            site=SiteConfig(geocodes={"GSO": "06637"}),
            alert=AlertConfig(phrases={"any": PhraseConfig(siren="a" * 64)}),
        )
        self.node = Controller("coc-1", control, (), {})
        self.node.receive_time(utc_ns(), 0, synchronised=True)

    def key(self, name):
        assert main(["key", str(self.folder / f"{name}.key")]) == 0
        return self.capsys.readouterr().out.strip()

    def order(self, kind, *more, by="province", area=AREA):
        out = self.folder / "order.bin"
        arguments = ["order", kind, *more, "--area", area, "--out", str(out)]
        status = main([*arguments, "--key", str(self.folder / f"{by}.key")])
        fault = self.capsys.readouterr().err
        return fault if status else self.node.receive_message("cmd", out.read_bytes(), 0)

    def certify(self):
        more = ("--tier", "province", "--class", "urgent", "--name", "pctt@langson.gov.vn")
        arguments = (self.public["province"], *more)
        return self.order("certificate", *arguments, by="root", area="vn/lang-son")


def test_a_key_that_is_certified_for_some_kinds_of_orders_gives_no_other(tmp_path, capsys):
    office = Office(tmp_path, capsys)
    more = (office.public["province"], "--tier", "province", "--class", "urgent")
    allowed = ("--orders", "warning,volume")
    assert office.order("certificate", *more, *allowed, by="root") == "obeyed"
    assert office.order("alert", "--event", "FFW") == "waiting"
    assert office.order("mute") == "not an order that this key gives"


def test_keys_and_orders_from_the_prompt_are_obeyed(tmp_path, capsys):
    office = Office(tmp_path, capsys)
    assert office.order("mute") == "unknown key"
    assert office.certify() == "obeyed"
    assert office.order("mute") == "obeyed" and office.order("unmute") == "obeyed"
    (tmp_path / "plan.toml").write_text("volume = 40")
    assert office.order("volume", str(tmp_path / "plan.toml")) == "obeyed"
    assert office.order("session", "1234abcd") == "no key for its packets"
    office.key("voice")
    keys = ("--packet-key", str(tmp_path / "voice.key"))
    assert office.order("session", "1234abcd", *keys) == "obeyed"
    assert office.node.source_class(0x1234ABCD) is not None
    assert office.order("session-end", "1234abcd") == "obeyed"
    keys = ("--srtp-key", str(tmp_path / "srtp.key"), "--stream", "radio")
    assert office.order("session", "1234abcd", *keys) == "obeyed"
    assert (tmp_path / "srtp.key").stat().st_mode & 0o077 == 0
    assert office.order("alert", "--event", "FFW", "--number", "7") == "waiting"
    assert office.order("cancel", "--number", "7") == "cancel"
    flood = FLOOD.replace("2025-10-07T08:00:00", "2999-10-07T08:00:00")
    (tmp_path / "flood.xml").write_text(flood, encoding="utf-8")
    assert office.order("cap", str(tmp_path / "flood.xml"), "--class", "urgent") == "waiting"
    assert office.order("revocation", office.public["province"], by="root") == "obeyed"
    assert office.order("mute") == "unknown key"


def test_a_list_of_revocations_has_a_number_and_an_order_the_counter_that_is_asked_for(
    tmp_path, capsys
):
    office = Office(tmp_path, capsys)
    office.certify()
    assert office.order("mute", "--counter", "77") == "obeyed"
    assert office.order("mute", "--counter", "77") == "replayed"
    assert "--counter -1: must be 0 to" in office.order("mute", "--counter", "-1")
    lost = ",".join(office.key(name) for name in ("lost 1", "lost 2"))
    arguments = ("revocation", lost, "--list-number", "3")
    assert office.order(*arguments, by="root") == "obeyed"
    assert list(office.node.status(0)["revocations"].values()) == [3]


def test_a_sealed_emergency_key_warns_and_speaks_and_does_nothing_else(tmp_path, capsys):
    office = Office(tmp_path, capsys)
    office.certify()
    sealed = office.key("sealed")
    more = ("--tier", "commune", "--class", "urgent", "--emergency")
    assert office.order("certificate", sealed, *more) == "obeyed"
    assert office.order("alert", "--number", "7", by="sealed") == "waiting"
    for kind in ("mute", "beacon"):
        assert office.order(kind, by="sealed") == "only warnings and voices"


def test_the_number_that_an_alert_prints_is_the_one_that_a_cancel_takes(tmp_path, capsys):
    office = Office(tmp_path, capsys)
    office.certify()
    out, key = str(tmp_path / "alert.bin"), str(tmp_path / "province.key")
    assert main(["order", "alert", "--area", AREA, "--key", key, "--out", out]) == 0
    told = capsys.readouterr().out.strip()
    number = re.search(r"its number is (\d+) \(`order cancel --number \1`\)$", told)
    assert number is not None, told
    fate = office.node.receive_message("cmd", (tmp_path / "alert.bin").read_bytes(), 0)
    playing = office.node.status(0)["playing"].values()
    assert fate == "waiting" and f"#{int(number[1]):016x}" in playing
    assert "needs --number, which `order alert` printed" in office.order("cancel")
    assert office.order("cancel", "--number", "7") == "nothing in force under that number"
    assert office.order("cancel", "--number", number[1]) == "cancel"
    assert office.node.status(0)["playing"] == {}


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_an_area_is_the_same_one_however_it_was_typed_there_and_here(tmp_path, capsys, forms):
    here, there = (unicodedata.normalize(form, "vn/lạng-sơn/hữu-liên") for form in forms)
    office = Office(tmp_path, capsys, area=f"{here}/coc-1")
    more = ("--tier", "province", "--class", "urgent")
    public = office.public["province"]
    assert office.order("certificate", public, *more, by="root", area=there) == "obeyed"
    assert office.order("alert", "--number", "7", area=there) == "waiting"


def test_a_plan_is_read_from_whatever_name_a_file_has(tmp_path, capsys):
    office = Office(tmp_path, capsys)
    office.certify()
    for name in ("lịch sáng", "100%25", "a#b?c", "-", "x\ny", "ộ"):
        for form in ("NFC", "NFD"):
            path = tmp_path / f"{unicodedata.normalize(form, name)}.toml"
            path.write_text("volume = 40")
            assert office.order("volume", str(path)) == "obeyed", path
            path.unlink()
            assert "no such file" in office.order("volume", str(path))


def test_a_key_is_made_once_and_read_by_its_owner_only(tmp_path, capsys):
    office = Office(tmp_path, capsys)
    assert office.key("root") == office.public["root"] != office.public["province"]
    assert (tmp_path / "root.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("volume",), "needs a file"),
        (("volume", "nowhere.toml"), "no such file"),
        (("session", "xyz"), "must be a SSRC"),
        (("certificate", "ab" * 32), "needs --tier"),
        (("certificate", "ab" * 32, "--tier", "hamlet", "--orders", "sirens"), "--orders sirens"),
        (("alert", "--event", "FLOODFLOOD"), "--event FLOODFLOOD"),
        (("mute", "--ttl", "0"), "--ttl 0"),
    ],
)
def test_a_wrong_argument_is_named(tmp_path, capsys, arguments, why):
    assert why in Office(tmp_path, capsys).order(*arguments)


def test_an_officer_is_told_what_of_a_document_nodes_cannot_read(tmp_path, capsys):
    office = Office(tmp_path, capsys)
    path = tmp_path / "flood.xml"
    path.write_text(FLOOD.replace("9.5</circle>", "9,5</circle>"), encoding="utf-8")
    out, key = str(tmp_path / "order.bin"), str(tmp_path / "province.key")
    arguments = ["order", "cap", str(path), "--area", AREA, "--out", out, "--key", key]
    assert main(arguments) == 0
    told = office.capsys.readouterr().err
    assert f"{path}: circle: " in told and "nodes obey the rest" in told


NOWHERE = re.sub("<(polygon|circle|geocode)>.*?</\\1>", "", FLOOD, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (FLOOD.replace(">Actual<", ">Draft<"), "status Draft: no node obeys that; Actual"),
        (FLOOD.replace(">Actual<", ">system<"), "status System"),
        (FLOOD.replace(">Alert<", ">Ack<"), "msgType Ack: is for other stations; Alert"),
        (FLOOD.replace(">Public<", ">Restricted<"), "is not for loudspeakers; Public"),
        (FLOOD.replace(">Immediate<", ">Soon<"), "urgency = 'Soon': must be one of Immediate"),
        (re.sub("<info>.*</info>", "", FLOOD, flags=re.DOTALL), "no info in it"),
        (NOWHERE, "no area with a polygon, circle or geocode"),
        (FLOOD.replace(">Immediate<", ">Past<"), "nothing to sound"),
    ],
)
def test_a_document_that_no_node_would_obey_is_refused_before_it_is_signed(
    tmp_path, capsys, document, why
):
    """Its officer would wait for a warning that sounds nowhere."""
    assert document != FLOOD
    path = tmp_path / "flood.xml"
    path.write_text(document, encoding="utf-8")
    told = Office(tmp_path, capsys).order("cap", str(path))
    assert f"{path}: " in told and why in told
    assert not (tmp_path / "order.bin").exists()


@pytest.mark.parametrize("kind", ["Exercise", "Test"])
def test_a_trial_is_signed_and_an_end_that_has_passed_is_told(tmp_path, capsys, kind):
    office = Office(tmp_path, capsys)
    path, out = tmp_path / "flood.xml", tmp_path / "order.bin"
    path.write_text(FLOOD.replace(">Actual<", f">{kind}<"), encoding="utf-8")
    key = str(tmp_path / "province.key")
    arguments = ["order", "cap", str(path), "--area", AREA, "--out", str(out), "--key", key]
    assert main(arguments) == 0
    assert "expires before now" in office.capsys.readouterr().err


def test_a_plan_that_a_node_would_refuse_is_refused_before_it_is_signed(tmp_path, capsys):
    office = Office(tmp_path, capsys)
    path = tmp_path / "calendar.toml"
    for text, why in ((".".join("a" * 90) + "=1", "64 dots"), ("a=1" + "0" * 70, "64 digits")):
        path.write_text(text)
        assert f"{path}: " in (told := office.order("calendar", str(path))) and why in told


def test_an_srtp_key_is_for_one_session_and_one_sender(tmp_path, capsys):
    office, key = Office(tmp_path, capsys), tmp_path / "srtp.key"
    office.certify()
    assert office.order("session", "1234abcd", "--srtp-key", str(key)) == "obeyed"
    srtp_seal(key)
    with pytest.raises(ValueError, match=r"was used by a sender .* new --srtp-key FILE"):
        srtp_seal(key)
    assert "name a new file" in office.order("session", "1234abcd", "--srtp-key", str(key))


def test_officers_sign_one_order_at_different_machines_and_see_what_they_sign(tmp_path, capsys):
    office = Office(tmp_path, capsys)
    public = {name: office.key(name) for name in ("first", "second", "third")}
    named = ("--signatures", "2", "--among", ",".join(public.values()))
    for name, one in public.items():
        more = ("--tier", "national", "--class", "urgent", "--name", "nation", *named)
        assert office.order("certificate", one, *more, by="root", area="vn") == "obeyed", name
    warning = ("alert", "--number", "7")
    assert office.order(*warning, by="first") == "needs more signatures"
    out, both = tmp_path / "order.bin", tmp_path / "both.bin"
    key = ("--key", str(tmp_path / "second.key"))
    assert main(["order", "cosign", str(out), *key, "--out", str(both)]) == 0
    told = capsys.readouterr().out
    assert "short_alert number 7" in told and "urgent" in told and "signatures: 2" in told
    assert office.node.receive_message("cmd", both.read_bytes(), 0) == "waiting"
    alone = ("cancel", "--number", "7")
    assert office.order(*alone, by="first") == "needs more signatures"
    with_third = ("--sign-with", str(tmp_path / "third.key"))
    assert office.order(*alone, *with_third, by="first") == "cancel"


def test_a_signature_that_cannot_be_is_told_with_what_would_be_right(tmp_path, capsys):
    office = Office(tmp_path, capsys)
    office.certify()
    out = tmp_path / "order.bin"
    root = ["--key", str(tmp_path / "root.key"), "--out", str(out)]
    assert main(["order", "cosign", str(out), *root]) == 2
    assert "this key has signed it already" in capsys.readouterr().err
    out.write_bytes(b"nothing")
    assert main(["order", "cosign", str(out), *root]) == 2
    assert "too short" in capsys.readouterr().err
    assert main(["order", "cosign", *root]) == 2
    assert "needs the file of an order" in capsys.readouterr().err
    assert main(["order", "mute", *root]) == 2
    assert "--area: must be given" in capsys.readouterr().err
    more = ("--tier", "national", "--signatures", "3", "--among", office.public["root"])
    fault = office.order("certificate", office.public["province"], *more, by="root", area="vn")
    assert "--signatures 3: must be 2 to 8" in fault
