"""Papers of an enrolment: what was signed is what is read, and nothing else is; codes as typed."""

import json
import string
import time

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.control.trust.signature import SeedSigner
from node.shell.enrol.install import kept_of
from node.shell.enrol.papers import (
    Bundle,
    Grant,
    Request,
    Sound,
    code_of,
    may_grant,
    open_bundle,
    open_paper,
    read_code,
    seal_paper,
)
from node.shell.station.cli import main

NODE, OTHER = SeedSigner(b"n" * 32), SeedSigner(b"o" * 32)
REQUEST = Request(name="coc-1", public_key=NODE.public_key, tls_key="PEM", nonce=b"0" * 16)
GRANT = Grant(
    name="coc-1",
    public_key=NODE.public_key,
    nonce=b"0" * 16,
    number=1,
    certificate="PEM",
    ca="PEM",
    settings='name = "coc-1"',
    orders=(b"order",),
    sounds=(Sound("ab" * 32, 7),),
)


@pytest.mark.parametrize("paper", [REQUEST, GRANT], ids=lambda one: type(one).__name__)
def test_what_was_signed_is_what_is_read(paper):
    assert open_paper(seal_paper(paper, NODE), type(paper)) == (paper, NODE.public_key)


@given(st.integers(0, 5000), st.integers(1, 255))
@example(0, 1)
def test_a_paper_with_any_byte_changed_is_not_read(at, change):
    sealed = bytearray(seal_paper(GRANT, NODE))
    sealed[at % len(sealed)] ^= change
    opened = open_paper(bytes(sealed), Grant)
    # Between two members of an object JSON takes blanks: what is read must be what was signed.
    assert isinstance(opened, str) or opened == (GRANT, NODE.public_key)


@given(
    st.binary(max_size=300) | st.recursive(st.none() | st.text(), st.lists).map(msgspec.json.encode)
)
@example(b"[" * 100_000)
@example(b"\xff" * 300_000)
def test_no_bytes_raise(data):
    for kind in (Bundle, Request, Grant):
        assert isinstance(open_paper(data, kind), str)
    assert isinstance(open_bundle(data), str)


def test_a_paper_of_one_kind_is_none_of_another():
    assert "not a grant" in open_paper(seal_paper(REQUEST, NODE), Grant)


@given(st.binary(min_size=16, max_size=16))
def test_each_request_has_a_code_of_its_own_and_it_is_read_as_people_type_it(nonce):
    code = code_of(seal_paper(msgspec.structs.replace(REQUEST, nonce=nonce), NODE))
    assert set(code) <= set(string.ascii_uppercase + "234567-")
    for typed in (code, code.lower(), code.replace("-", ""), code.replace("-", " "), f" {code} "):
        assert read_code(typed) == code
    assert read_code(code.replace("O", "0").replace("I", "1").replace("B", "8")) == code
    assert nonce == REQUEST.nonce or code != code_of(seal_paper(REQUEST, NODE))


@given(st.text(max_size=40))
def test_a_code_is_read_as_twelve_letters_or_not_at_all(typed):
    code = read_code(typed)
    assert code is None or len(code) == 14


@pytest.fixture
def bundle(tmp_path, capsys):
    assert main(["init", "--area", "vn/x/y", "--broker", "b.vn", "--folder", str(tmp_path)]) == 0
    return tmp_path, open_bundle((tmp_path / "y.bundle").read_bytes())


def test_only_the_key_that_the_root_certified_for_the_commune_grants(bundle):
    folder, made = bundle
    commune, sealed, root = (
        SeedSigner((folder / f"{name}.key").read_bytes())
        for name in ("commune", "emergency", "offline/root")
    )
    now_s = int(time.time())
    assert may_grant(made, commune.public_key, now_s)
    assert not any(may_grant(made, k.public_key, now_s) for k in (sealed, root, OTHER))
    assert not may_grant(made, commune.public_key, now_s + 6 * 365 * 86_400)
    forged = msgspec.structs.replace(made, root_public_key=OTHER.public_key)
    assert not may_grant(forged, commune.public_key, now_s)
    assert open_bundle(seal_paper(made, OTHER)) == "not signed by the root it names"


def test_orders_of_a_grant_are_kept_as_those_that_came_one_by_one_and_older_ones_are_not(bundle):
    _, made = bundle
    root = made.root_public_key
    kept = kept_of(root, made.orders, {})
    assert len(kept) == 2 and all(one.startswith("certificate/") for one in kept)
    assert kept_of(root, made.orders, kept) == {}
    assert kept_of(root, (b"", b"LL1", bytes(100)), {}) == {}


def test_a_second_station_in_one_folder_is_refused_and_so_is_an_area_that_is_none(tmp_path, capsys):
    where = ("--folder", str(tmp_path), "--broker", "b.vn")
    assert main(["init", "--area", "vn//x", *where]) == 2
    assert "must be a path" in capsys.readouterr().err
    assert main(["init", "--area", "vn/x", *where]) == 0
    assert main(["init", "--area", "vn/x", *where]) == 2
    assert "already" in capsys.readouterr().err
    assert json.loads((tmp_path / "station.json").read_text())["port"] == 8883
    secret = [one for one in tmp_path.rglob("*.key") if one.name != "broker.key"]
    assert len(secret) == 7 and all(one.stat().st_mode & 0o077 == 0 for one in secret)
