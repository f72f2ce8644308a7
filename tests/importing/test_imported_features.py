"""Others' features as tracks: the organisers' layout with its known defects, and a user's own CSV."""

from __future__ import annotations

import numpy as np
import pytest

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.importing.imported_features import read_csv_rows, read_organisers_kind

ARFF = "@relation x\n\n@attribute name string\n{}\n@attribute class numeric_or_not\n\n@data\n\n'unknown',{},?\n"


def arff(value: float) -> str:
    attributes = "\n".join(f"@attribute f{i} numeric" for i in range(1582))
    return ARFF.format(attributes, ",".join([str(value)] * 1582))


def test_visual_files_with_every_known_defect(tmp_path):
    rows = {1: [1.0] * 33, 2: [2.0] * 33, 4: [4.0] * 33, 5: [5.0] * 32, 7: [7.0] * 33}
    for second, row in rows.items():
        joint = "-" if second % 2 else "_"
        (tmp_path / f"MEDIAEVAL18_27{joint}{second:05d}_cl.txt").write_text(",".join(map(str, row)))
    (tmp_path / "MEDIAEVAL18_27-00006_cl.txt").write_text("")
    (tmp_path / "MEDIAEVAL18_27-00002_cl.txt").write_text(",".join(["2.0"] * 33))
    (tmp_path / "notes.txt").write_text("by hand")
    read = read_organisers_kind(str(tmp_path), "cl")
    found = {name: count for name, count in read.defects.counts().items() if count}
    assert found == {"absent": 1, "empty": 1, "wrong_length": 1, "doubled": 1, "strange_names": 1}
    track = read.as_track(9, 500, {"network": "test"})
    np.testing.assert_array_equal(track.present[:, 0], [1, 1, 0, 1, 0, 0, 1, 0, 0])
    np.testing.assert_array_equal(track.values[:, 0], [1, 2, 0, 4, 0, 0, 7, 0, 0])
    assert (track.timestamps_us[:2].tolist(), read.defects.short_by) == ([500, 1_000_500], 2)


def test_sound_files_in_arff_and_their_copies(tmp_path):
    for second, value in ((1, 3.0), (2, 3.0), (3, 3.0), (5, 5.5)):
        (tmp_path / f"MEDIAEVAL18_06_{second:05d}.csv").write_text(arff(value))
    read = read_organisers_kind(str(tmp_path), "emobase2010")
    assert (read.defects.copied, read.defects.absent) == (2, 1)
    assert read.values.shape == (5, 1582)
    np.testing.assert_array_equal(np.isfinite(read.values[:, 0]), [1, 1, 1, 0, 1])
    assert (read.values[4] == 5.5).all()


def test_a_csv_of_one_s_own(tmp_path):
    path = tmp_path / "film.csv"
    path.write_text("time_s,a,b\n0,1,2\n2,3,4\n3,,\n4,5,nan\n4,6,6\n")
    read, columns = read_csv_rows(str(path))
    assert list(columns) == ["a", "b"]
    np.testing.assert_array_equal(np.isfinite(read.values[:, 0]), [1, 0, 1, 0, 0])
    counts = read.defects
    assert (counts.absent, counts.empty, counts.not_numbers, counts.doubled) == (1, 1, 1, 1)
    path.write_text("a,b\n1\n")
    with pytest.raises(FilmError, match=r"film\.csv, line 2"):
        read_csv_rows(str(path))


def test_a_face_tracker_s_table_of_frames_has_the_seconds_of_the_film(tmp_path):
    path = tmp_path / "film.csv"
    header = "frame, face_id, timestamp, confidence, AU01_r"
    rows = [f"{frame + 1}, 0, {frame * 0.04:.3f}, 0.98, {frame // 25}.{frame % 25:02d}" for frame in range(200)]
    path.write_text("\n".join([header, *rows, ""]))
    read, columns = read_csv_rows(str(path))
    assert columns == ["face_id", "confidence", "AU01_r"]
    np.testing.assert_allclose(read.values[:, 2], np.arange(8) + 0.12, rtol=1e-6)
    assert {name: count for name, count in read.defects.counts().items() if count} == {"averaged": 8}


def test_a_european_table_is_read(tmp_path):
    path = tmp_path / "film.csv"
    path.write_text("time_s;joy;fear\n0;0,0;0,5\n1;0,1;0,5\n", encoding="utf-8-sig")
    read, columns = read_csv_rows(str(path))
    assert columns == ["joy", "fear"]
    np.testing.assert_array_equal(read.values, np.array([[0, 0.5], [0.1, 0.5]], np.float32))


@pytest.mark.parametrize(
    ("text", "reason", "expected"),
    [
        ("time_s,a\n0,x\n1,\n", "no_values", "line 2: 'x' in the column 'a' is no finite number"),
        ("time_s,a\n", "no_values", "there are no rows"),
        ("", "no_columns", "needs a header"),
        ("time_s,frame\n0,1\n", "no_columns", "a column beside time_s, timestamp, time, frame"),
        (",a\n0,1\n", "no_columns", "line 1: column 1 has no name"),
        ("time_s,a\n0,1\n40,1\n", "unreadable", "its rows lie 40 s apart"),
    ],
)
def test_a_table_of_which_nothing_can_be_read_is_a_failure(tmp_path, text, reason, expected):
    (tmp_path / "film.csv").write_text(text)
    with pytest.raises(FilmError) as caught:
        read_csv_rows(str(tmp_path / "film.csv"))
    assert (caught.value.reason, expected in caught.value.detail) == (reason, True)
    assert str(tmp_path / "film.csv") in caught.value.detail
