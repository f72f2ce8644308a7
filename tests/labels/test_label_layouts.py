"""The layouts of MediaEval 2016 and 2017 and of LIRIS-ACCEDE: what is read, cut, reported and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.labels.annotations import AnnotationError, align, read_labels, render_reports, report_alignment
from beam_pipelines.labels.config import LabelConfig
from beam_pipelines.labels.layouts import LabelRow, _seconds_by_interpolation, _seconds_by_mean, label_files
from trainer.foundation.config import TrainConfig

SEGMENTS = "Id\tTime\tMeanValence\tMeanArousal"


def write_2017(folder: Path, *rows: tuple[float, float, float]) -> str:
    path = folder / "Sintel-MEDIAEVAL2017-valence_arousal.txt"
    lines = [f"{i}\t{start}\t{valence}\t{arousal}" for i, (start, valence, arousal) in enumerate(rows)]
    path.write_text("\n".join([SEGMENTS, *lines, ""]))
    return str(path)


def write_pair(folder: Path, valence: list[str], arousal: list[str], header: str = "Time\tMean\tStd") -> str:
    for name, lines in (("Valence", valence), ("Arousal", arousal)):
        (folder / f"After_The_Rain_{name}.txt").write_text("\n".join([header, *lines, ""]))
    return str(folder / "After_The_Rain_Valence.txt")


def config(layout: str, **keys: object) -> LabelConfig:
    return LabelConfig.model_validate({"layout": layout, **keys})


def test_segments_of_2017_run_straight_from_middle_to_middle(tmp_path: Path) -> None:
    uri = write_2017(tmp_path, (0, 0.0, 0.5), (5, 0.5, 0.5), (10, -0.5, 0.0))
    labels = read_labels(uri, config("mediaeval2017"))
    values, known = align(labels, 20)
    np.testing.assert_array_equal(np.flatnonzero(known), np.arange(5, 16))
    np.testing.assert_allclose(values[5:16, 0], [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.3, 0.1, -0.1, -0.3, -0.5], atol=1e-6)
    np.testing.assert_allclose(values[[5, 10, 15], 1], [0.5, 0.5, 0.0])
    report = report_alignment("Sintel", labels, 20)
    assert (report.used, report.unlabelled_seconds, report.after_film) == (11, 9, 0)


def test_segments_of_2017_as_means_of_those_that_cover_a_second(tmp_path: Path) -> None:
    uri = write_2017(tmp_path, (0, 0.0, 0.5), (5, 0.5, 0.5), (10, -0.5, 0.0))
    values, known = align(read_labels(uri, config("mediaeval2017", segment_label="mean")), 22)
    np.testing.assert_array_equal(np.flatnonzero(known), np.arange(20))
    np.testing.assert_allclose(values[:20, 0], np.repeat([0.0, 0.25, 0.0, -0.5], 5), atol=1e-6)


def test_a_missing_segment_leaves_unknown_seconds(tmp_path: Path) -> None:
    uri = write_2017(tmp_path, (0, 0.1, 0), (5, 0.2, 0), (20, 0.3, 0), (25, 0.4, 0))
    _, known = align(read_labels(uri, config("mediaeval2017")), 40)
    np.testing.assert_array_equal(np.flatnonzero(known), [5, 6, 7, 8, 9, 10, 25, 26, 27, 28, 29, 30])


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=20, unique=True),
    st.sampled_from([_seconds_by_interpolation, _seconds_by_mean]),
    st.data(),
)
def test_seconds_stay_within_their_segments_and_their_values(places, to_seconds, data) -> None:
    segments = [
        LabelRow(i, 5.0 * place, (data.draw(st.floats(-1, 1)), data.draw(st.floats(-1, 1))))
        for i, place in enumerate(sorted(places))
    ]
    rows = to_seconds(segments)
    times = [row.time_s for row in rows]
    assert times == sorted(set(times))
    assert {segment.time_s + 5 for segment in segments} <= set(times)
    for row in rows:
        covering = [s for s in segments if s.time_s <= row.time_s <= s.time_s + 10]
        assert covering
        for column in range(2):
            values = [segment.values[column] for segment in covering]
            assert min(values) - 1e-9 <= row.values[column] <= max(values) + 1e-9


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 0, 0), (6, 0, 0)], r"line 3: this segment starts at 6 s after one at 0 s; .* 5 s apart"),
        ([(5, 0, 0), (5, 0, 0)], r"line 3: this segment starts at 5 s after one at 5 s"),
        ([(0, 1.5, 0)], r"line 2: valence 1.5 is outside of \[-1, 1\]"),
    ],
)
def test_defects_of_2017(tmp_path: Path, rows: list[tuple[float, float, float]], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_labels(write_2017(tmp_path, *rows), config("mediaeval2017"))


def test_a_file_of_another_year_is_refused(tmp_path: Path) -> None:
    uri = write_2017(tmp_path, (0, 0, 0), (5, 0, 0))
    with pytest.raises(AnnotationError, match=r"line 2: it reads .*; a row must hold three finite numbers"):
        read_labels(uri, LabelConfig())
    with pytest.raises(AnnotationError, match=r"is named <movie>_Valence.txt or <movie>_Arousal.txt"):
        read_labels(uri, config("liris_accede"))


@pytest.mark.parametrize("layout", ["mediaeval2016", "liris_accede"])
@pytest.mark.parametrize("named", ["Valence", "Arousal"])
def test_two_files_a_film(tmp_path: Path, layout: str, named: str) -> None:
    write_pair(tmp_path, ["0\t0.1\t0.01", "1\t0.2\t0.02"], ["0\t-0.1\t0.01", "1\t-0.2\t0.02"])
    labels = read_labels(str(tmp_path / f"After_The_Rain_{named}.txt"), config(layout))
    np.testing.assert_allclose(labels.values, np.array([[0.1, -0.1], [0.2, -0.2]], np.float32))
    assert labels.unpaired_rows == 0


def test_two_files_without_deviations_and_of_different_length(tmp_path: Path) -> None:
    uri = write_pair(tmp_path, ["1\t0.1", "2\t0.2", "3\t0.3"], ["1\t0.5", "2\t0.6"], header="Time\tMean")
    labels = read_labels(uri, config("liris_accede"))
    np.testing.assert_array_equal(labels.time_s, [0.0, 1.0])
    report = report_alignment("After_The_Rain", labels, 2)
    assert report.unpaired_rows == 1
    assert not report.complete
    assert render_reports([report]).splitlines()[2].split() == ["After_The_Rain", "2", "2", "2", "0", "0", "0", "1"]


@pytest.mark.parametrize(
    ("arousal", "message"),
    [
        (["0\t0.1", "2\t0.1"], r"_Arousal.txt, line 3: has time 2 where the valence file has 1"),
        (["0\t0.1", "x\t0.1"], r"_Arousal.txt, line 3: it reads 'x 0.1'; a row must hold two or three finite numbers"),
        ([], r"has no rows of labels"),
    ],
)
def test_defects_of_a_pair(tmp_path: Path, arousal: list[str], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_labels(write_pair(tmp_path, ["0\t0.1", "1\t0.1"], arousal), config("mediaeval2016"))


def test_a_pair_lacks_its_other_file(tmp_path: Path) -> None:
    uri = write_pair(tmp_path, ["0\t0.1"], ["0\t0.1"])
    (tmp_path / "After_The_Rain_Arousal.txt").unlink()
    with pytest.raises(AnnotationError, match=r"After_The_Rain_Arousal.txt: no such label file"):
        read_labels(uri, config("liris_accede"))


def test_names_of_a_pair() -> None:
    assert label_files("gs://b/x_Arousal.txt", LabelConfig(layout="liris_accede")) == (
        "gs://b/x_Valence.txt",
        "gs://b/x_Arousal.txt",
    )
    assert label_files("A_Valence_Valence.txt", LabelConfig(layout="liris_accede"))[1] == "A_Valence_Arousal.txt"
    assert label_files("/x_Valence.txt", LabelConfig(layout="liris_accede"))[1] == "/x_Arousal.txt"
    assert label_files("anything.txt", LabelConfig(layout="mediaeval2018")) == ("anything.txt",)


def test_the_layout_is_a_key() -> None:
    loaded = load_section("train", TrainConfig, None, ["labels.layout=mediaeval2017", "labels.segment_label=mean"])
    assert (loaded.labels.layout, loaded.labels.segment_label) == ("mediaeval2017", "mean")
