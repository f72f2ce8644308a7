"""Storage: local disk and a bucket of a real emulator pass the same tests. Whole files or none, the same listings."""

from __future__ import annotations

import fcntl
import itertools
import os
import subprocess
import sys
import tempfile
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import FilmError, StorageError
from beam_pipelines.foundation.storage.temporary_folders import temporary_folder
from tests.support.gcs_emulator import GcsEmulator, running_emulator
from tests.support.hypothesis_profiles import examples

TREE = [
    *("films/a.mp4", "films/b.txt", "films/[x].mp4", "films/sub/c.mp4", "films/sub/deep/d.mp4"),
    *("films/.hidden.mp4", "films/.cache/e.mp4"),
    *("films2/f.mp4", "top.mp4", "shelf[1]/g.mp4", "shelf1/h.mp4"),
]

ROOT = Path(__file__).resolve().parents[2]
_bucket_numbers = itertools.count()


@pytest.fixture(scope="module")
def emulator() -> Iterator[GcsEmulator]:
    with running_emulator() as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", running.url)
        yield running


@pytest.fixture(params=["local", "gs"])
def place(request, tmp_path) -> str:
    """An empty folder on local disk, then one in an empty bucket."""
    if request.param == "local":
        return str(tmp_path)
    bucket = f"bucket-{next(_bucket_numbers)}"
    request.getfixturevalue("emulator").make_bucket(bucket)
    return f"gs://{bucket}/place"


def plant(place: str) -> None:
    for name in TREE:
        storage.write_text(storage.join(place, name), name)


def relative(place: str, pattern: str) -> list[str]:
    return [info.uri.removeprefix(place + "/") for info in storage.list_files(storage.join(place, pattern))]


def test_whether_a_folder_holds_anything(place):
    plant(place)
    held = [n for n in ("films", "films/", "films/sub", "film", "absent", "films/a.mp4") if
            storage.holds_files(storage.join(place, n))]  # fmt: skip
    assert held == ["films", "films/", "films/sub"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("films", "films/[x].mp4 films/a.mp4 films/b.txt films/sub/c.mp4 films/sub/deep/d.mp4"),
        ("films/", "films/[x].mp4 films/a.mp4 films/b.txt films/sub/c.mp4 films/sub/deep/d.mp4"),
        ("film", ""),
        ("absent", ""),
        ("films/sub/deep", "films/sub/deep/d.mp4"),
        ("films/a.mp4", "films/a.mp4"),
        ("films/a.mp4/", ""),
        ("films/.hidden.mp4", ""),
        ("films/*.mp4", "films/[x].mp4 films/a.mp4"),
        ("films/*", "films/[x].mp4 films/a.mp4 films/b.txt"),
        ("films/?.mp4", "films/a.mp4"),
        ("films/[ab].*", "films/a.mp4 films/b.txt"),
        ("films/[!a].*", "films/b.txt"),
        ("films/[x].mp4", "films/[x].mp4"),
        ("films/[[]x].mp4", "films/[x].mp4"),
        ("films*/*.mp4", "films/[x].mp4 films/a.mp4 films2/f.mp4"),
        ("*/*/*.mp4", "films/sub/c.mp4"),
        ("films/**/*.mp4", "films/[x].mp4 films/a.mp4 films/sub/c.mp4 films/sub/deep/d.mp4"),
        ("films/**", "films/[x].mp4 films/a.mp4 films/b.txt films/sub/c.mp4 films/sub/deep/d.mp4"),
        ("**/[d-g].mp4", "films/sub/deep/d.mp4 films2/f.mp4 shelf[1]/g.mp4"),
        ("films/**.mp4", "films/[x].mp4 films/a.mp4"),
        ("films/.cache/*", "films/.cache/e.mp4"),
        ("films/*/", ""),
        ("shelf[1]", "shelf[1]/g.mp4"),
        ("shelf[1]/*", "shelf1/h.mp4"),
    ],
)
def test_a_listing_is_that_of_the_shell(place, pattern, expected):
    plant(place)
    assert relative(place, pattern) == expected.split()


COMPONENT = st.text(alphabet="ab.*?[]!-", min_size=1, max_size=5).filter(lambda text: text not in (".", ".."))


@pytest.fixture(scope="module")
def two_trees(emulator, tmp_path_factory) -> tuple[str, str]:
    """The same tree on local disk and in a bucket, of names that globs can take apart in many ways."""
    trees = str(tmp_path_factory.mktemp("tree")), "gs://tree/root"
    emulator.make_bucket("tree")
    folders = ("", "a", "b", "ab", ".a", "a/b", "a/.b", "b/bb")
    for place, folder, name in itertools.product(trees, folders, ("aa", "a.b", ".ab", "[a]", "b-a", "b!")):
        storage.write_bytes(storage.join(place, folder, name) if folder else storage.join(place, name), b"")
    return trees


@examples(150)
@given(st.lists(st.one_of(COMPONENT, st.sampled_from(["**", "*", "a", "b"])), min_size=1, max_size=4))
def test_any_pattern_lists_the_same_on_both_sides(two_trees, components):
    pattern = "/".join(components)
    local, remote = (relative(place, pattern) for place in two_trees)
    assert local == remote


def test_a_listing_tells_size_and_time(place):
    storage.write_text(storage.join(place, "folder", "first"), "12345")
    storage.write_text(storage.join(place, "folder", "second"), "")
    first, second = storage.list_files(storage.join(place, "folder"))
    assert (first.size_bytes, second.size_bytes) == (5, 0)
    assert first.modified_s <= second.modified_s
    assert storage.stat(first.uri) == first


def test_content_comes_back_as_it_was_written(place):
    uri = storage.join(place, "folder", "Größe 100 % #1?.bin")
    for content in (b"", b"\r\n", bytes(range(256)) * 999):
        storage.write_bytes(uri, content)
        assert storage.read_bytes(uri) == content
        found = storage.stat(uri)
        assert found is not None
        assert found.size_bytes == len(content)
        with storage.local_copy(uri) as path:
            assert path.read_bytes() == content
    storage.write_bytes(uri, b"\xef\xbb\xbffilm_id")
    assert storage.read_text(uri) == "film_id"


def test_only_the_beginning_can_be_copied(place):
    storage.write_bytes(storage.join(place, "long"), b"0123456789")
    storage.write_bytes(storage.join(place, "empty"), b"")
    with storage.local_copy(storage.join(place, "long"), at_most_bytes=4) as path:
        assert path.read_bytes() == (b"0123" if storage.is_remote(place) else b"0123456789")
    with storage.local_copy(storage.join(place, "empty"), at_most_bytes=4) as path:
        assert path.read_bytes() == b""


def write_half(uri: str) -> None:
    with storage.whole_file(uri) as path:
        path.write_text("half")
        raise RuntimeError("cut off")


def test_a_file_appears_whole_or_not_at_all(place):
    target = storage.join(place, "deep", "file.txt")
    storage.write_text(target, "first")
    with pytest.raises(RuntimeError, match="cut off"):
        write_half(target)
    assert storage.read_text(target) == "first"
    assert relative(place, "deep") == ["deep/file.txt"]
    if not storage.is_remote(place):
        assert os.listdir(Path(place) / "deep") == ["file.txt"]
    with storage.whole_file(target) as path:
        path.write_text("second")
    assert storage.read_text(target) == "second"


def test_unfinished_files_are_not_listed(place):
    with storage.whole_file(storage.join(place, "a.txt")) as path:
        path.write_text("half")
        assert storage.list_files(place) == []
        assert storage.stat(storage.join(place, "a.txt")) is None
    assert relative(place, "") == ["a.txt"]


def test_what_is_absent_is_told_from_what_is_there(place):
    absent = storage.join(place, "absent")
    storage.write_text(storage.join(place, "folder", "file"), "")
    assert storage.stat(absent) is None
    assert storage.stat(storage.join(place, "folder")) is None
    storage.remove(absent)
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(absent)
    with pytest.raises(FileNotFoundError), storage.local_copy(absent):
        pass
    with storage.local_tree(absent) as path:
        assert not list(path.glob("*"))
    storage.remove(storage.join(place, "folder", "file"))
    assert storage.list_files(place) == []


@pytest.fixture
def temporary(tmp_path_factory, monkeypatch) -> Path:
    """The folder that temporary files go to, empty."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def test_copies_are_removed_also_after_an_error(place, temporary):
    uri = storage.join(place, "folder", "film.mp4")
    storage.write_bytes(uri, b"film")
    with storage.local_copy(uri) as path:
        assert path.suffix == ".mp4"
        assert len(list(temporary.iterdir())) == storage.is_remote(place)
    assert not list(temporary.iterdir())
    for copies in (storage.local_copy(uri), storage.local_tree(storage.join(place, "folder")), storage.whole_file(uri)):
        with pytest.raises(RuntimeError, match="in the block"), copies:
            raise RuntimeError("in the block")
        assert not list(temporary.iterdir())
    assert storage.read_bytes(uri) == b"film"


HELD = """
import sys, time
from beam_pipelines.foundation.storage.temporary_folders import temporary_folder
with temporary_folder("gs://bucket/film") as folder:
    (folder / "copy.mp4").write_bytes(b"film")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_the_copies_of_a_killed_process_are_removed_by_the_next_one_and_those_of_a_living_one_stay(temporary):
    command = [sys.executable, "-c", HELD]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    killed, living = (Path(process.stdout.readline().strip()) for process in processes)
    processes[0].kill()
    processes[0].wait(10)
    (temporary / "cineaffect-copy-file").touch()
    others = {"cineaffect-copy-file", "another"}
    (temporary / "another").mkdir()

    def left() -> set[str]:
        with temporary_folder("gs://bucket/film") as own:
            return {path.name for path in temporary.iterdir()} - {own.name}

    assert left() == {killed.name, living.name, *others}  # it may just have been made
    for path in temporary.iterdir():
        os.utime(path, (0, 0))
    assert left() == {living.name, *others}
    assert (living / "copy.mp4").exists()
    processes[1].kill()
    processes[1].wait(10)
    assert left() == others


def is_locked(folder: str) -> bool:
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(held)
    return False


def test_a_folder_that_another_process_just_looks_at_is_locked_all_the_same(temporary, monkeypatch):
    make, looking = tempfile.mkdtemp, []

    def looked_at(*arguments, **keys):
        folder = make(*arguments, **keys)
        held = os.open(folder, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        looking.append(threading.Timer(0.2, os.close, [held]))
        looking[0].start()
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", looked_at)
    with temporary_folder("gs://bucket/film") as folder:
        looking[0].join()
        assert is_locked(str(folder))


def test_a_tree_goes_there_and_back(place, tmp_path_factory):
    source = tmp_path_factory.mktemp("model")
    (source / "variables" / "deep").mkdir(parents=True)
    (source / ".metadata").mkdir()
    (source / ".metadata" / "schema").write_bytes(b"0")
    (source / "saved_model.pb").write_bytes(b"1")
    (source / "variables" / "index").write_bytes(b"2")
    (source / "variables" / "deep" / "data").write_bytes(b"\x00" * 10_000)
    storage.copy_tree(str(source), storage.join(place, "exports", "1"))
    storage.write_bytes(storage.join(place, "exports", "10", "saved_model.pb"), b"another")
    with storage.local_tree(storage.join(place, "exports", "1")) as tree:
        found = {path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    expected = {".metadata/schema": b"0", "saved_model.pb": b"1"}
    assert found == {**expected, "variables/index": b"2", "variables/deep/data": b"\x00" * 10_000}


@pytest.mark.parametrize(
    ("parts", "joined"),
    [(("a", "b"), "a/b"), (("a/", "b", "c"), "a/b/c"), (("gs://bucket", "x"), "gs://bucket/x"), (("/", "x"), "/x")],
)
def test_join(parts, joined):
    assert storage.join(*parts) == joined


def test_an_address_without_a_bucket_is_refused():
    with pytest.raises(StorageError, match="gs://bucket/name"):
        storage.read_bytes("gs:///name")


@pytest.mark.parametrize(("given_form", "form_there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_what_is_there_in_another_unicode_form_is_found_with_a_note(place, caplog, given_form, form_there):
    given_name, there = (unicodedata.normalize(form, "Fêtes/Noël.txt") for form in (given_form, form_there))
    storage.write_text(storage.join(place, there), "joy")
    uri = storage.join(place, given_name)
    assert storage.read_text(uri) == "joy"
    assert storage.stat(uri).uri == storage.join(place, there)
    with storage.local_copy(uri) as path:
        assert path.read_text() == "joy"
    for pattern in (given_name, given_name.partition("/")[0], given_name.replace(".txt", ".*")):
        assert relative(place, pattern) == [there], pattern
    assert [record.message.count("another Unicode form") for record in caplog.records] == [1] * len(caplog.records)
    assert 1 <= len(caplog.records) <= 2  # a folder and its file, once each
    assert storage.stat(storage.join(place, given_name.replace(".txt", ".doc"))) is None


def test_on_disk_every_component_has_its_own_unicode_form(tmp_path):
    nfc, nfd = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    (tmp_path / nfd / nfc).mkdir(parents=True)
    (tmp_path / nfd / nfc / nfd).write_text("joy")
    assert storage.read_text(f"{tmp_path}/{nfc}/{nfc}/{nfc}") == "joy"
    (tmp_path / nfd / "dangling").symlink_to(tmp_path / "nothing")
    assert storage.stat(f"{tmp_path}/{nfc}/dangling") is None


def test_a_name_that_the_system_takes_not_is_a_failure_of_its_film(tmp_path):
    uri = f"{tmp_path}/{'n' * 300}"
    for operation in (storage.stat, storage.read_bytes, lambda name: storage.write_text(name, "")):
        with pytest.raises(FilmError) as caught:
            operation(uri)
        assert (caught.value.reason, uri in caught.value.detail) == ("name_too_long", True)
    assert not list(tmp_path.iterdir())
