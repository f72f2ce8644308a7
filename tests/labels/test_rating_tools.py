"""The ready sections of docs/rating-tools.md, each on files of the same form that the test makes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from beam_pipelines.labels.annotations import Labels, read_labels
from beam_pipelines.labels.config import LabelConfig

PAGE = Path(__file__).parents[2] / "docs" / "rating-tools.md"


def sections() -> dict[str, list[dict]]:
    """Heading -> the values of `train.labels` in its blocks."""
    found = {}
    for part in PAGE.read_text().split("\n## ")[1:]:
        blocks = re.findall(r"```yaml\n(.*?)```", part, re.DOTALL)
        found[part.split("\n")[0].split(",")[0]] = [yaml.safe_load(block)["train"]["labels"] for block in blocks]
    return found


SECTIONS = sections()


def config(tool: str, number: int = 0, **further: object) -> LabelConfig:
    return LabelConfig.model_validate({**SECTIONS[tool][number], **further})


def write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def curve(rater: int, target: str, seconds: int = 20) -> np.ndarray:
    """What a made-up rater gives in each second, in [-1, 1]."""
    generator = np.random.default_rng([rater, len(target)])
    return np.round(0.5 * np.sin(np.arange(seconds) / 3.0 + len(target)) + generator.uniform(-0.3, 0.3, seconds), 4)


def mean(raters: Sequence[int], seconds: int = 20) -> np.ndarray:
    return np.mean(
        [np.stack([curve(r, t, seconds) for t in ("valence", "arousal")], axis=1) for r in raters], axis=0
    ).astype(np.float32)


def assert_all_seconds(labels: Labels, expected: np.ndarray, first: int = 0) -> None:
    np.testing.assert_array_equal(labels.time_s, np.arange(first, first + len(expected)))
    np.testing.assert_allclose(labels.values, expected, atol=2e-4)


def test_every_section_has_a_test() -> None:
    assert set(SECTIONS) == {"CARMA", "DARMA", "PAGAN", "DEAM", "COGNIMUSE", "LIRIS-ACCEDE", "MuSe", "VEATIC"}
    assert len(SECTIONS["DEAM"]) == 2


def test_carma(tmp_path: Path) -> None:
    for rater, name in enumerate(("anna", "ben")):
        for target in ("valence", "arousal"):
            head = ["Time of Rating,01-Jan-2026 10:00:00", "Multimedia File,night.mp4", "Lower Label,very negative"]
            head += ["Upper Label,very positive", "Minimum Value,-100", "Maximum Value,100", "Number of Steps,9"]
            rows = [f"{second + 1},{100 * value:.2f}" for second, value in enumerate(curve(rater, target))]
            write(tmp_path / target / f"{name}.csv", [*head, "Second,Rating", "%%%%%%,%%%%%%", *rows])
    labels = read_labels(str(tmp_path / "{target}" / "{rater}.csv"), config("CARMA"), "night")
    assert_all_seconds(labels, mean([0, 1]))
    assert labels.ratings.raters == ("anna", "ben")


def test_darma(tmp_path: Path) -> None:
    valence, arousal = 100 * curve(0, "valence"), 100 * curve(0, "arousal")
    head = ["Time of Rating,01-Jan-2026,,", "Multimedia File,night.mp4,,", "Magnitude,100,,", "Second,X,Y,B"]
    rows = [f"{second + 1},{v:.2f},{a:.2f},0" for second, (v, a) in enumerate(zip(valence, arousal, strict=True))]
    write(tmp_path / "anna.csv", [*head, "%%%%%%,%%%%%%,%%%%%%,%%%%%%", *rows])
    assert_all_seconds(read_labels(str(tmp_path / "{rater}.csv"), config("DARMA"), "night"), mean([0]))


def test_pagan(tmp_path: Path) -> None:
    header = "OriginalName,DatabaseName,Participant,SessionID,Timestamp,VideoTime,Value"
    for target in ("valence", "arousal"):
        rows = []
        for name, ups in (("anna", (2000, 5500, 8000)), ("ben", (2000, 6000, 8000))):
            rows += [f"night.mp4,7_1,{name},s,1,{at},{value}" for value, at in enumerate(ups)]
            rows.append(f"day.mp4,7_2,{name},s,1,1000,40")
        write(tmp_path / f"{target}.csv", [header, *rows])
    labels = read_labels(str(tmp_path / "{target}.csv"), config("PAGAN", raters={"fusion": "mean"}), "night")
    # From 0 to 2 in the labels' range -1 to 1: anna rises to the middle at 5.5 s, ben at 6 s; both to the top at 8 s.
    expected = [-1, -1, -1, -0.75, 0, 0, 1]
    assert_all_seconds(labels, np.stack([expected] * 2, axis=1), first=2)
    assert read_labels(str(tmp_path / "{target}.csv"), config("PAGAN"), "night").ratings.raters == ("anna", "ben")


def test_deam_per_rater(tmp_path: Path) -> None:
    times = 15.0 + np.arange(40) / 2
    for target in ("valence", "arousal"):
        rows = [
            ",".join([f"w{rater}", *(f"{value}" for value in np.repeat(curve(rater, target), 2))]) for rater in (0, 1)
        ]
        write(tmp_path / target / "2.csv", ["WorkerId," + ",".join(f"sample_{1000 * t:.0f}ms" for t in times), *rows])
    labels = read_labels(str(tmp_path / "{target}" / "2.csv"), config("DEAM"), "2")
    assert_all_seconds(labels, mean([0, 1]), first=15)


def test_deam_averages(tmp_path: Path) -> None:
    for target in ("valence", "arousal"):
        header = "song_id, " + ", ".join(f"sample_{15000 + 500 * n}ms" for n in range(42))
        rows = [
            f"{song}, " + ", ".join(str(value) for value in np.repeat(curve(song, target), 2)) + ",," for song in (2, 3)
        ]
        write(tmp_path / f"{target}.csv", [header, *rows])
    assert_all_seconds(read_labels(str(tmp_path / "{target}.csv"), config("DEAM", 1), "3"), mean([3]), first=15)


def test_cognimuse(tmp_path: Path) -> None:
    for subject in ("1_1", "2_1"):
        valence, arousal = (np.repeat(curve(int(subject[0]), target), 25) for target in ("valence", "arousal"))
        rows = [f"{n * 0.04:.2f} {v} {a}" for n, (v, a) in enumerate(zip(valence, arousal, strict=True))]
        write(tmp_path / f"subj{subject}_AmericanBeauty.dat", rows)
    labels = read_labels(str(tmp_path / "subj{rater}_AmericanBeauty.dat"), config("COGNIMUSE"), "american-beauty")
    assert_all_seconds(labels, mean([1, 2]))
    assert labels.ratings.raters == ("1_1", "2_1")


def test_liris_accede_with_its_deviations(tmp_path: Path) -> None:
    for target in ("Valence", "Arousal"):
        values = curve(0, target.lower())
        rows = [f"{n}\t{value}\t{0.1 + n / 100:.2f}" for n, value in enumerate(values)]
        write(tmp_path / f"night_{target}.txt", ["Time\tMean\tStandard deviation", *rows])
    labels = read_labels(str(tmp_path / "night_Valence.txt"), config("LIRIS-ACCEDE"), "night")
    assert_all_seconds(labels, mean([0]))
    np.testing.assert_allclose(labels.deviation, np.stack([0.1 + np.arange(20) / 100] * 2, axis=1), atol=1e-6)
    one = read_labels(str(tmp_path / "night_Valence.txt"), config("LIRIS-ACCEDE", targets=["arousal"]), "night")
    assert one.values.shape == one.deviation.shape == (20, 1)


def test_muse(tmp_path: Path) -> None:
    for target in ("valence", "arousal"):
        columns = [1000 * np.repeat(curve(rater, target), 4) for rater in (1, 4, 7)]
        rows = [",".join([f"{n / 4}", *(f"{v:.1f}" for v in row)]) for n, row in enumerate(np.transpose(columns))]
        write(tmp_path / target / "11.csv", ["timeStamp,1,4,7", *rows])
    plain = config("MuSe", raters={})
    assert_all_seconds(read_labels(str(tmp_path / "{target}" / "11.csv"), plain, "11"), mean([1, 4, 7]))
    labels = read_labels(str(tmp_path / "{target}" / "11.csv"), config("MuSe"), "11")
    assert labels.ratings.raters == ("1", "4", "7")
    assert np.corrcoef(labels.values[:, 0], mean([1, 4, 7])[:, 0])[0, 1] == pytest.approx(1.0, abs=0.05)


def test_veatic(tmp_path: Path) -> None:
    for target in ("valence", "arousal"):
        rows = [f"{n},{value}" for n, value in enumerate(np.repeat(curve(0, target), 25))]
        write(tmp_path / f"7_{target}.csv", rows)
    assert_all_seconds(read_labels(str(tmp_path / "7_{target}.csv"), config("VEATIC"), "7"), mean([0]))
