"""What was acknowledged survives: cuts, damage, full, slow and failing disks, other processes."""

import errno
import os
import sqlite3
import stat
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmarks.control.disks.torn import TornDisk
from benchmarks.control.store import batch
from node.control.trust.ahead import PREFIX
from node.control.trust.lost_counters import KEY as COUNTERS_LOST
from node.shell.faults import ShellError
from node.shell.store import anew
from node.shell.store import store as module
from node.shell.store.anew import REWRITE_BYTES
from node.shell.store.disk import RealDisk
from node.shell.store.read import copies_of
from node.shell.store.store import KEYS_MAX, Store
from node.shell.store.turns import may_wait

PATH = Path("/kept.db")
CERTIFICATES = {f"certificate/{n:02}": bytes([n]) * 150 for n in range(3)}
TRUST = CERTIFICATES | {"revocation/ab-7": b"r" * 120, "counters": b"{}", "shell/seed": b"s" * 32}


LIMIT_S = 60.0
"""What these tests wait for comes, however slow the disk they run on is."""


@pytest.fixture(autouse=True)
def closes_when_all_is_written(monkeypatch):
    """A store that is closed waits for its disk as long as that takes."""
    monkeypatch.setattr(module, "CLOSE_WAIT_S", LIMIT_S)


def opened(files: dict[Path, bytes]) -> Store:
    """A store on a disk that holds `files`."""
    return Store(PATH, disk=TornDisk(files))


def written(*batches: dict[str, bytes]) -> dict[Path, bytes]:
    """The two files of a store that kept `batches` one after the other."""
    disk = TornDisk()
    store = Store(PATH, disk=disk)
    for one in batches:
        keep(store, one)
    store.close()
    return disk.files


def keep(store: Store, changes: dict[str, bytes]) -> None:
    number = store.keep_soon(changes)
    end_s = time.monotonic() + LIMIT_S
    while store.durable < number:
        assert time.monotonic() < end_s, store.fault()
        time.sleep(0.0002)


def settled(store: Store) -> dict[str, bytes]:
    store.close()
    return store.kept()


A_FEW = (TRUST, {"alerts": b"a" * 300}, {"counters": b"{1}", "alerts": b"b" * 100}, {"x": b""})
ALL = {key: value for one in A_FEW for key, value in one.items()}


def test_a_store_written_and_opened_again_holds_everything_and_has_nothing_to_tell():
    files = written(*A_FEW)
    store = opened(files)
    assert settled(store) == ALL
    assert store.lost == ()
    assert opened(files).fault() is None


@pytest.mark.parametrize("which", [0, 1])
def test_whatever_is_cut_off_one_copy_the_other_one_has_it(which):
    files = written(*A_FEW)
    path = copies_of(PATH)[which]
    whole = files[path]
    for size in range(0, len(whole), 11):
        store = opened(files | {path: whole[:size]})
        assert settled(store) == ALL, size
        assert not store.trust_lost
    store = opened(files | {path: whole[: len(whole) // 2]})
    assert any(path.name in line for line in store.lost)
    without = {one: data for one, data in files.items() if one != path}
    assert settled(opened(without)) == ALL


@given(st.integers(0, 1), st.data())
@settings(max_examples=40, deadline=None)
def test_a_flipped_bit_in_one_copy_costs_nothing_and_is_told(which, data):
    files = written(*A_FEW)
    path = copies_of(PATH)[which]
    whole = bytearray(files[path])
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    store = opened(files | {path: bytes(whole)})
    assert settled(store) == ALL
    assert not store.trust_lost
    last_record = bit // 8 >= len(whole) - 60
    assert store.lost or last_record  # the end may be what a power cut left


@st.composite
def damages(draw):
    """Damage to one file: bits, zeroed blocks, an end cut off, an empty file, garbage."""
    kind = draw(st.sampled_from(["bits", "zeros", "cut", "gone", "noise", "none"]))
    return kind, draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=4))


def damaged(data: bytes, damage) -> bytes | None:
    kind, places = damage
    spoiled = bytearray(data)
    for place in places:
        at = int(place * len(data))
        if kind == "bits":
            spoiled[at] ^= 1 << (at % 8)
        elif kind == "zeros":
            spoiled[at : at + 512] = bytes(len(spoiled[at : at + 512]))
        elif kind == "noise":
            spoiled[at : at + 64] = os.urandom(len(spoiled[at : at + 64]))
    if kind == "cut":
        return bytes(spoiled[: int(places[0] * len(data))])
    return None if kind == "gone" else bytes(spoiled)


@given(damages(), damages())
@settings(max_examples=60, deadline=None)
@example(("gone", [0.0]), ("cut", [0.0]))
@example(("cut", [0.0]), ("cut", [0.0]))
def test_damage_to_both_copies_wakes_no_revoked_key_and_is_never_silent(one, other):
    files = written(*A_FEW)
    first, second = copies_of(PATH)
    left = {}
    for path, damage in ((first, one), (second, other)):
        data = damaged(files[path], damage)
        if data is not None:
            left[path] = data
    disk = TornDisk()
    disk.files = dict(left)
    store = Store(PATH, disk=disk)
    values = settled(store)
    if values == ALL:
        return
    if not left:
        return  # nothing is there: a new node
    rolled_back = one[0] in ("cut", "gone") and other[0] in ("cut", "gone")
    if not rolled_back:  # both ends cut off alike look as they did at that time
        assert store.lost
    for key in CERTIFICATES:
        if key in values:
            assert values[key] == ALL[key]
            assert "revocation/ab-7" in values
    if values.get("counters") != ALL["counters"] and not rolled_back:
        assert store.trust_lost
    again = {p: d for p, d in disk.files.items() if p in (first, second)}
    assert settled(opened(again)) == values, "what was told once is mended"


SIZES_AND_KINDS = st.lists(
    st.tuples(st.integers(1, 400), st.sampled_from([0, 1, 2])), min_size=1, max_size=12
)


@given(SIZES_AND_KINDS, st.floats(0, 1), st.sampled_from([0, 0, 100, 512, 4096]))
@settings(max_examples=60, deadline=None)
@example([(300, 1), (300, 0)], 0.67, 0)
@example([(300, 1), (300, 1), (300, 0)], 0.72, 0)
@example([(300, 1), (300, 2)], 0.6, 0)
@example([(300, 1), (300, 2), (300, 1)], 0.35, 4096)
@example([(300, 1), (300, 2), (300, 1)], 0.65, 4096)
def test_what_was_durable_is_there_after_a_power_cut_at_any_byte(sizes, share, spoils_bytes):
    """Also where the cut costs what stands before it in the file, as on a memory card."""
    batches = [batch(n, size, kind) for n, (size, kind) in enumerate(sizes)]
    disk = TornDisk()
    disk.spoils_bytes = spoils_bytes
    length = 2 * sum(size for size, _ in sizes)
    disk.cut_at = int(share * (length + 150 * len(sizes) + 200)) + 1
    store = Store(PATH, disk=disk)
    durable = -1
    for n, one in enumerate(batches):
        number = store.keep_soon(one)
        while store.durable < number and not disk.dark:
            time.sleep(0)
        if disk.dark:
            break
        durable = n
    store.close()
    after = opened(disk.files)
    values = settled(after)
    assert not after.trust_lost
    got = max((value[0] for key, value in values.items() if key.endswith("last")), default=-1)
    assert durable <= got <= len(batches) - 1
    expected: dict[str, bytes] = {}
    for one in batches[: got + 1]:
        expected |= one
    assert values == expected, "a batch is all there or not at all"


def test_an_order_that_is_kept_and_acts_costs_two_writes_and_both_copies_have_it():
    class Counted(TornDisk):
        writes = 0

        def append(self, path, data):
            self.writes += 1
            super().append(path, data)

    disk = Counted()
    store = Store(PATH, disk=disk)
    keep(store, TRUST)
    end_s = time.monotonic() + LIMIT_S
    while disk.files.keys() < set(copies_of(PATH)) and time.monotonic() < end_s:
        time.sleep(0.001)
    before = disk.writes
    for n in range(10):
        keep(store, {f"{PREFIX}0": b"o" * 200})
        keep(store, {f"{PREFIX}0": b"", "counters": bytes([n])})
    values = settled(store)
    assert disk.writes - before <= 2 * 10 + 1, (
        "the last one goes to the other copy when there is time"
    )
    for one in copies_of(PATH):
        assert settled(opened({one: disk.files[one]})) == values


@given(SIZES_AND_KINDS, st.integers(0, 1), st.data())
@settings(max_examples=60, deadline=None)
def test_where_one_copy_lacks_the_last_batch_damage_to_the_other_costs_no_more(sizes, which, data):
    """The power fails between two writes; later a bit of one copy is flipped."""
    batches = [batch(n, size, kind) for n, (size, kind) in enumerate(sizes)]
    disk = TornDisk()
    store = Store(PATH, disk=disk)
    keep(store, TRUST)
    for one in batches:
        keep(store, one)
    first, second = copies_of(PATH)
    end_s = time.monotonic() + LIMIT_S
    while disk.files.get(first) != disk.files.get(second) and sizes[-1][1] == 0:
        assert time.monotonic() < end_s, "what no order was kept for goes to both at once"
        time.sleep(0.0002)
    left = dict(disk.files)
    store.close()
    if len(left) < 2:
        return
    path = copies_of(PATH)[which]
    spoiled = bytearray(left[path])
    bit = data.draw(st.integers(0, 8 * len(spoiled) - 1))
    spoiled[bit // 8] ^= 1 << bit % 8
    after = opened(left | {path: bytes(spoiled)})
    values = settled(after)
    assert not after.trust_lost
    all_of, all_but_the_last = dict(TRUST), dict(TRUST)
    for number, one in enumerate(batches):
        all_of |= one
        if number < len(batches) - 1 or sizes[-1][1] == 0:
            all_but_the_last |= one
    assert values in (all_of, all_but_the_last)


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({}, False),
        ({f"{PREFIX}0": b"o"}, True),
        ({f"{PREFIX}0": b"o", f"{PREFIX}1": b""}, True),
        ({f"{PREFIX}0": b"", "counters/ab": b"1", "order/mute/ab": b"m"}, True),
        ({f"{PREFIX}0": b"o", "alerts": b"a"}, False),
        ({"counters/ab": b"1"}, False),
        *(
            ({f"{PREFIX}0": b"", f"{one}/ab": b"x"}, False)
            for one in ("certificate", "revocation", "root", "shell")
        ),
    ],
)
def test_only_orders_that_are_kept_and_what_they_did_wait_for_the_other_copy(changes, waits):
    assert may_wait(changes) is waits


def test_an_order_that_is_kept_and_does_not_act_is_in_both_copies_within_two_seconds():
    disk = TornDisk()
    store = Store(PATH, disk=disk)
    keep(store, TRUST)
    keep(store, {f"{PREFIX}0": b"the order"})
    end_s = time.monotonic() + 2
    while b"the order" not in disk.files[copies_of(PATH)[1]]:
        assert time.monotonic() < end_s
        time.sleep(0.01)
    store.close()


@given(
    st.lists(st.sampled_from([0, errno.ENOSPC, errno.EIO, errno.EROFS]), max_size=12),
    st.integers(1, 8),
)
@settings(max_examples=15, deadline=None)
def test_a_disk_that_refuses_for_a_while_has_everything_in_the_end(refusals, count):
    disk = TornDisk()
    disk.refuse = list(refusals)
    before, module.RETRY_S = module.RETRY_S, (0.001, 0.002)
    try:
        store = Store(PATH, disk=disk)
        expected: dict[str, bytes] = {}
        for n in range(count):
            changes = {f"k{n}": bytes([n]), "same": bytes([n])}
            number = store.keep_soon(changes)
            expected |= changes
        end_s = time.monotonic() + LIMIT_S
        while store.durable < number or disk.refuse:
            assert time.monotonic() < end_s
            store.keep_soon({"same": expected["same"]})  # it refuses to the end
            time.sleep(0.001)
        assert settled(store) == expected
    finally:
        module.RETRY_S = before
    assert settled(opened(disk.files)) == expected


def test_a_disk_that_refuses_keeps_nobody_waiting_and_says_why():
    disk = TornDisk()
    store = Store(PATH, disk=disk)
    keep(store, {"a": b"1"})
    disk.refuse = [errno.ENOSPC] * 1000
    number = store.keep_soon({"b": b"2"})
    end_s = time.monotonic() + LIMIT_S
    while store.fault() is None and time.monotonic() < end_s:
        time.sleep(0.005)
    assert "full" in (store.fault() or "")
    assert store.durable < number
    assert store.kept() == {"a": b"1", "b": b"2"}
    with pytest.raises(ShellError, match="full"):
        store.keep({"c": b"3"})


def test_a_slow_disk_keeps_nobody_waiting_and_is_told():
    disk = TornDisk()
    store = Store(PATH, disk=disk)
    keep(store, {"a": b"1"})
    disk.slow_s = 1.2
    begin_s = time.monotonic()
    for n in range(100):
        number = store.keep_soon({"b": bytes([n])})
    assert time.monotonic() - begin_s < 0.1
    time.sleep(1.1)
    assert "slow" in (store.fault() or "")
    while store.durable < number:
        assert time.monotonic() - begin_s < LIMIT_S
        time.sleep(0.01)


def test_a_copy_that_has_grown_is_written_anew_and_keeps_everything(tmp_path):
    path = tmp_path / "kept.db"
    store = Store(path)
    expected = {}
    for n in range(80):
        changes = {f"k{n % 7}": bytes([n]) * 50_000}
        keep(store, changes)
        expected |= changes
    store.close()
    for copy in copies_of(path):
        assert copy.stat().st_size < 3 * 350_000 + REWRITE_BYTES + 200_000
    again = Store(path)
    assert settled(again) == expected and again.lost == ()


@pytest.fixture
def grows_too_long_soon(monkeypatch):
    """Copies are written anew after a few batches, in pieces of a few bytes."""
    monkeypatch.setattr(anew, "REWRITE_BYTES", 400)
    monkeypatch.setattr(anew, "PIECE_BYTES", 300)


@pytest.mark.usefixtures("grows_too_long_soon")
@given(
    st.lists(st.tuples(st.integers(50, 400), st.sampled_from([0, 1, 2])), min_size=8, max_size=40),
    st.floats(0, 1),
    st.sampled_from([0, 512, 4096]),
    st.booleans(),
)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_power_cut_while_a_copy_is_written_anew_costs_nothing_that_was_durable(
    sizes, share, spoils_bytes, forgets_names
):
    """Whatever its new file holds by then, and whether the folder shows it or the old one."""
    disk = TornDisk()
    disk.spoils_bytes, disk.forgets_names = spoils_bytes, forgets_names
    disk.cut_at = int(share * 6 * sum(size + 60 for size, _ in sizes)) + 1
    store = Store(PATH, disk=disk)
    durable, expected = -1, [{}]
    for n, (size, kind) in enumerate(sizes):
        one = batch(n, size, kind) | {f"filler/{n % 3}": bytes([n]) * size}
        expected.append(expected[-1] | one)
        number = store.keep_soon(one)
        while store.durable < number and not disk.dark:
            time.sleep(0)
        if disk.dark:
            break
        durable = n
    store.close()
    after = opened(disk.files)
    values = settled(after)
    assert not after.trust_lost and not disk.unsettled_writes
    assert values in expected[durable + 1 :]


def test_what_is_kept_while_copies_are_written_anew_waits_for_no_more_than_a_few_writes(
    monkeypatch,
):
    """Those under way and its own, four at most: not for all that 20,000 keys come to."""
    monkeypatch.setattr(anew, "REWRITE_BYTES", 1 << 14)
    monkeypatch.setattr(anew, "PIECE_BYTES", 1 << 12)
    disk, writes = TornDisk(), []

    def count(name):
        call = getattr(disk, name)

        def counted(*args, **named):
            call(*args, **named)
            writes.append(name)

        monkeypatch.setattr(disk, name, counted)

    for name in ("append", "replace", "grow", "settle"):
        count(name)
    store = Store(PATH, disk=disk)
    for n in range(0, KEYS_MAX, 2000):
        keep(store, {f"order/{n + i:05}": b"v" * 20 for i in range(2000)})
    filled, waited = len(writes), []
    store.on_durable = lambda: waited.append(len(writes))
    for n in range(200):
        waited.append(-len(writes))
        keep(store, {f"{PREFIX}{n % 8}": bytes(3000)})
    store.close()
    begun, ended = waited[::2], waited[1::2]
    assert max(end + begin for begin, end in zip(begun, ended, strict=True)) <= 4
    assert writes[filled:].count("grow") > 100, "copies were written anew meanwhile"


def test_only_its_owner_reads_the_store(tmp_path):
    path = tmp_path / "kept.db"
    os.umask(os.umask(0))
    store = Store(path)
    keep(store, {"shell/seed": b"s" * 32})
    store.close()
    for copy in copies_of(path):
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_a_second_process_reads_the_store_and_leaves_it_alone(tmp_path):
    path = tmp_path / "kept.db"
    first = Store(path)
    keep(first, {"a": b"1"})
    second = Store(path)
    assert second.kept() == {"a": b"1"}
    second.keep_soon({"a": b"2"})
    end_s = time.monotonic() + LIMIT_S
    while second.fault() is None and time.monotonic() < end_s:
        time.sleep(0.005)
    assert "another process" in (second.fault() or "")
    second.close()
    keep(first, {"b": b"3"})
    first.close()
    assert settled(Store(path)) == {"a": b"1", "b": b"3"}


def test_there_is_room_for_the_nodes_own_key_however_many_others_there_are():
    store = Store(None)
    store.keep_soon({f"revocation/{n}": b"" for n in range(KEYS_MAX)})
    store.keep_soon({"shell/seed": b"s", "one/more": b"", "revocation/1": b"new"})
    kept = store.kept()
    assert kept["shell/seed"] == b"s" and kept["revocation/1"] == b"new"
    assert "one/more" not in kept
    assert store.refused == 1
    assert str(KEYS_MAX) in (store.fault() or "")


def old_store(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(
            "CREATE TABLE kept (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
        )
        database.executemany("INSERT INTO kept VALUES (?, ?)", TRUST.items())
    database.close()


def test_a_store_of_version_0_1_is_taken_over(tmp_path):
    path = tmp_path / "100% full#?.db"
    old_store(path)
    store = Store(path)
    assert settled(store) == TRUST
    again = Store(path)
    assert settled(again) == TRUST and again.lost == ()


def test_a_damaged_store_of_version_0_1_gives_nobody_trust_that_was_taken_back(tmp_path):
    path = tmp_path / "kept.db"
    old_store(path)
    data = bytearray(path.read_bytes())
    data[4096:8192] = bytes(4096)
    path.write_bytes(data)
    store = Store(path)
    assert store.trust_lost and store.lost
    assert not any(key.startswith("certificate/") for key in settled(store))


def test_what_was_damaged_beyond_help_is_set_aside_and_not_overwritten(tmp_path):
    path = tmp_path / "kept.db"
    for copy in copies_of(path):
        copy.write_bytes(b"")
    store = Store(path)
    assert store.trust_lost
    keep(store, {"a": b"1"})
    store.close()
    assert path.with_name("kept.db.damaged").read_bytes() == b""
    assert settled(Store(path)) == {"a": b"1", COUNTERS_LOST: b"lost"}, "it says so for good"


def test_a_real_disk_that_is_full_is_said_to_be(tmp_path):
    full = threading.Event()

    class Filling(RealDisk):
        def replace(self, path, data):
            if full.is_set():
                raise OSError(errno.ENOSPC, "No space left on device")
            super().replace(path, data)

        def append(self, path, data):
            if full.is_set():
                raise OSError(errno.ENOSPC, "No space left on device")
            super().append(path, data)

    store = Store(tmp_path / "kept.db", disk=Filling())
    store.keep({"before": b"1"})  # the writer's first turn is over: what follows is told
    told = threading.Event()
    store.on_durable = told.set
    full.set()
    store.keep_soon({"a": b"1"})
    assert told.wait(5)
    assert "full" in (store.fault() or "")
    store.close()
