"""Local storage: whole files or none, listings without hidden files, nothing outside its folder."""

from __future__ import annotations

import os

import pytest

from beam_pipelines import storage


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    target = str(tmp_path / "deep" / "file.txt")
    storage.write_text(target, "first")
    with pytest.raises(RuntimeError, match="cut off"), storage.whole_file(target) as path:
        path.write_text("half")
        raise RuntimeError("cut off")
    assert storage.read_text(target) == "first"
    assert os.listdir(tmp_path / "deep") == ["file.txt"]


def test_unfinished_files_are_not_listed(tmp_path):
    with storage.whole_file(str(tmp_path / "a.txt")) as path:
        path.write_text("half")
        assert storage.list_files(str(tmp_path)) == []
    assert [info.uri for info in storage.list_files(str(tmp_path))] == [str(tmp_path / "a.txt")]


def test_stat_and_remove_of_absent_files(tmp_path):
    assert storage.stat(str(tmp_path / "absent")) is None
    storage.remove(str(tmp_path / "absent"))
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(str(tmp_path / "absent"))
    with pytest.raises(FileNotFoundError), storage.local_copy(str(tmp_path / "absent")):
        pass


def test_copy_tree_keeps_the_layout(tmp_path):
    (tmp_path / "from" / "sub").mkdir(parents=True)
    (tmp_path / "from" / "a").write_bytes(b"1")
    (tmp_path / "from" / "sub" / "b").write_bytes(b"2")
    storage.copy_tree(str(tmp_path / "from"), str(tmp_path / "to"))
    assert (tmp_path / "to" / "a").read_bytes() == b"1"
    assert (tmp_path / "to" / "sub" / "b").read_bytes() == b"2"


@pytest.mark.parametrize(
    ("parts", "joined"),
    [(("a", "b"), "a/b"), (("a/", "b", "c"), "a/b/c"), (("gs://bucket", "x"), "gs://bucket/x"), (("/", "x"), "/x")],
)
def test_join(parts, joined):
    assert storage.join(*parts) == joined


def test_an_address_without_a_bucket_is_refused():
    with pytest.raises(ValueError, match="gs://bucket/name"):
        storage.read_bytes("gs:///name")
