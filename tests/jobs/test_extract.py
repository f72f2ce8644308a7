"""The extract job on its real runner, with untrained networks: good and bad films, resume, merging, determinism."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.stream import Disposition

from beam_pipelines import extract
from beam_pipelines.contracts.records import records
from tests.support.onnx_files import pictures_network
from tests.support.several_tracks import Track, other, rising, write_tracks
from tests.support.synthetic_clips import Sound, regular_times, write_clip

pytestmark = pytest.mark.usefixtures("networks_kept")

UNTRAINED = [f"--set={modality}.weights=untrained" for modality in ("image", "audio", "face")]
UNTRAINED += [f"--set={modality}.batch_size=4" for modality in ("image", "audio", "face")]


def tone(seconds: float, rate_hz: int = 48_000) -> Sound:
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    return Sound([(Fraction(0), (0.4 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)[None])], rate_hz)


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """Good films and every kind of bad one, in one folder."""
    folder = tmp_path_factory.mktemp("films")
    write_clip(folder / "with_sound.mp4", regular_times(55, 25), sound=tone(2.2))
    write_clip(folder / "silent.mp4", regular_times(60, 25))
    write_clip(folder / "half_second.mp4", regular_times(12, 24), sound=tone(0.5), rate_hz=24)
    (folder / "text.mp4").write_text("this is no film\n" * 100)
    (folder / "empty.mp4").touch()
    write_sound_only(folder / "sound_only.mp4")
    return folder


def test_a_network_by_configuration_is_added_to_records_and_workers_compare_its_hash(films, tmp_path):
    film = tmp_path / "films" / "with_sound.mp4"
    film.parent.mkdir()
    film.write_bytes((films / "with_sound.mp4").read_bytes())
    network = {"takes": "picture", "file": str(pictures_network(tmp_path / "net.onnx")), "size_px": 24}
    setting = f"--set=networks={json.dumps({'mine': {**network, 'output': 'embeds'}})}"
    output = tmp_path / "out"
    for modalities in ("audio", "mine"):
        assert run(film.parent, output, setting, f"--set=modalities=[{modalities}]", "--workers", "1") == 0
    tracks = records.read_record(str(output / "with_sound.mp4.tfrecord")).tracks
    assert {modality: track.values.shape for modality, track in tracks.items()} == {"audio": (3, 128), "mine": (3, 5)}
    manifest = read_json(output / "run_manifest.json")
    weights = manifest["descriptions"]["mine"]["weights"]
    assert manifest["configuration"]["networks"]["mine"]["sha256"] == weights
    assert run(film.parent, output, setting, "--set=modalities=[mine]", f"--set=networks.mine.sha256={'0' * 64}") == 2


def write_sound_only(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(1.0).stretches[0][1], format="fltp", layout="mono")
        frame.rate, frame.pts = 48_000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def run(films: Path, output: Path, *arguments: str) -> int:
    return extract.main(["--films", str(films), "--output", str(output), *UNTRAINED, *arguments])


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def extracted(films, networks_kept, tmp_path_factory) -> Path:
    """All modalities in one run."""
    output = tmp_path_factory.mktemp("extracted")
    assert run(films, output, "--workers", "1") == 3
    return output


def test_good_films_beside_bad_ones_are_done(extracted):
    assert sorted(records.list_records(str(extracted))) == ["half_second.mp4", "silent.mp4", "with_sound.mp4"]
    rows = [json.loads(line) for line in (extracted / "failures.jsonl").read_text().splitlines()]
    assert {(row["film_id"], row["reason"]) for row in rows} == {
        ("text.mp4", "unreadable"),
        ("empty.mp4", "empty_file"),
        ("sound_only.mp4", "no_video_stream"),
    }
    assert all(row["film_id"] in row["detail"] and row["step"] for row in rows)
    manifest = read_json(extracted / "run_manifest.json")
    assert manifest["films"] == {"in": 6, "done": 3, "skipped": 0, "failed": 3}
    assert manifest["untrained"] == ["audio", "face", "image"]


def test_the_manifest_says_where_the_time_went_also_that_of_failed_films(extracted, films):
    taken = read_json(extracted / "run_manifest.json")["time_by_stage"]
    # Seven seconds of film, three of them without sound; no faces, and the detector takes pictures as they are.
    items = {name: each["items"] for name, each in taken.items()}
    assert items.pop("starting") >= 2  # the decoder and the detector; networks may be kept
    assert items == {
        "reading": 6, "probing": 6, "picture decoding": 7, "sound decoding": 7, "scaling": 2 * 7,
        "image network": 7, "audio network": 4, "face detector": 7, "writing": 3, "rest": 0,
    }  # fmt: skip
    sizes = {name: each["bytes"] for name, each in taken.items()}
    assert sizes["reading"] == sizes["probing"] == sum(path.stat().st_size for path in films.iterdir())
    assert sizes["writing"] == sum(path.stat().st_size for path in extracted.glob("*.tfrecord"))
    assert sizes["image network"] == 7 * 299 * 299 * 3
    assert all(each["ms"] > 0 for each in taken.values())


@pytest.mark.parametrize(
    ("film", "seconds", "has_sound"), [("with_sound", 3, True), ("silent", 3, False), ("half_second", 1, True)]
)
def test_a_record_has_a_row_a_second(extracted, film, seconds, has_sound):
    record = records.read_record(str(extracted / f"{film}.mp4.tfrecord"))
    assert record.header.seconds == seconds
    widths = {modality: track.values.shape for modality, track in record.tracks.items()}
    assert widths == {"image": (seconds, 2048), "audio": (seconds, 128), "face": (seconds, 1024)}
    audio = record.tracks["audio"]
    assert audio.present.all() == has_sound
    assert audio.values.any() == has_sound
    assert record.tracks["image"].present.all()
    assert record.tracks["image"].values.std() > 0
    assert not record.tracks["face"].present.any()
    assert all(track.untrained for track in record.tracks.values())
    assert record.header.quality["picture"]["seconds_without_a_fresh_frame"] == 0
    assert record.header.quality["film"]["packets"] > 0


def test_modalities_added_one_by_one_give_the_bytes_of_one_run(films, extracted, tmp_path):
    for modalities in ("[image]", "[image,audio]", "[face,audio]"):
        assert run(films, tmp_path, "--workers", "1", f"--set=modalities={modalities}") == 3
    added, at_once = (
        {path.name: path.read_bytes() for path in folder.glob("*.tfrecord")} for folder in (tmp_path, extracted)
    )
    assert at_once
    assert {name for name in added.keys() | at_once.keys() if added.get(name) != at_once.get(name)} == set()


def test_a_second_run_does_nothing_but_what_has_changed(films, extracted, tmp_path, capsys):
    folder, output = tmp_path / "films", tmp_path / "features"
    folder.mkdir()
    for name in ("with_sound.mp4", "silent.mp4"):
        (folder / name).write_bytes((films / name).read_bytes())
    only_sound = ("--workers", "1", "--set=modalities=[audio]")
    assert run(folder, output, *only_sound) == 0
    stamps = {path.name: path.stat().st_mtime_ns for path in output.glob("*.tfrecord")}
    line = r"^time: ([a-z ]+ \d+ %, ){2}[a-z ]+ \d+ % of \d+ core ms a film second$"
    assert re.search(line, capsys.readouterr().out, re.M)
    before = records.read_record(str(output / "silent.mp4.tfrecord"))

    assert run(folder, output, *only_sound) == 0
    assert "time: " not in capsys.readouterr().out
    assert "time_by_stage" not in read_json(output / "run_manifest.json")
    assert read_json(output / "run_manifest.json")["films"]["skipped"] == 2
    assert {path.name: path.stat().st_mtime_ns for path in output.glob("*.tfrecord")} == stamps

    write_clip(folder / "silent.mp4", regular_times(100, 25))
    os.utime(folder / "with_sound.mp4")  # touched, but the same content
    assert run(folder, output, *only_sound) == 0
    assert read_json(output / "run_manifest.json")["films"] == {"in": 2, "done": 1, "skipped": 1, "failed": 0}
    after = records.read_record(str(output / "silent.mp4.tfrecord"))
    assert (before.header.seconds, after.header.seconds) == (3, 4)
    assert before.header.source_sha256 != after.header.source_sha256

    (output / "with_sound.mp4.tfrecord").write_bytes(b"damaged")
    assert run(folder, output, *only_sound) == 0
    assert read_json(output / "run_manifest.json")["films"]["done"] == 1
    assert records.read_header(str(output / "with_sound.mp4.tfrecord")).seconds == 3


def test_a_copy_put_in_place_with_an_old_date_is_a_change(films, tmp_path):
    folder, output = tmp_path / "films", tmp_path / "features"
    folder.mkdir()
    film, other = folder / "film.mp4", tmp_path / "other.mp4"
    content = (films / "silent.mp4").read_bytes()
    film.write_bytes(content)
    only_sound = ("--workers", "1", "--set=modalities=[audio]")
    assert run(folder, output, *only_sound) == 0
    before = records.read_header(str(output / "film.mp4.tfrecord"))
    # As `rsync -a` and `cp -p` do: other content of the same size, an old date, moved into place.
    other.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(other, (1_000_000_000, 1_000_000_000))
    os.replace(other, film)
    assert run(folder, output, *only_sound) == 0
    after = records.read_header(str(output / "film.mp4.tfrecord"))
    assert before.source_sha256 != after.source_sha256


def test_a_record_that_lost_its_end_is_made_again(films, tmp_path):
    only_sound = ("--workers", "1", "--set=modalities=[audio]")
    assert run(films / "silent.mp4", tmp_path, *only_sound) == 0
    path = tmp_path / "silent.mp4.tfrecord"
    whole = path.read_bytes()
    for damaged in (whole[:-7], whole + whole, whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        assert run(films / "silent.mp4", tmp_path, *only_sound) == 0
        assert path.read_bytes() == whole


def test_features_of_another_length_are_not_kept_beside_new_ones(films, tmp_path):
    """An earlier version may have found fewer seconds in the file: in joined recordings, in a film with a cover."""
    only_sound = ("--workers", "1", "--set=modalities=[audio]")
    assert run(films / "silent.mp4", tmp_path, *only_sound) == 0
    uri = str(tmp_path / "silent.mp4.tfrecord")
    right = records.read_record(uri)
    other = {"mine": replace(right.tracks["audio"], description={"imported": "csv"}, **first_second(right))}
    records.write_record(records.make_record(replace(right.header, seconds=1), other), uri)
    assert run(films / "silent.mp4", tmp_path, *only_sound) == 0
    found = records.read_record(uri)
    assert (found.header.seconds, list(found.tracks)) == (3, ["audio"])


def first_second(record: records.FilmRecord) -> dict[str, np.ndarray]:
    return {name: getattr(record.tracks["audio"], name)[:1] for name in ("values", "present", "timestamps_us")}


def test_a_film_that_has_moved_keeps_its_features(films, tmp_path):
    manifest = tmp_path / "films.csv"
    only_sound = ("--workers", "1", "--set=modalities=[audio]")
    for name in ("here.mp4", "there.mp4"):
        (tmp_path / name).write_bytes((films / "silent.mp4").read_bytes())
        manifest.write_text(f"film_id,path\nfilm,{name}\n")
        assert run(manifest, tmp_path / "out", *only_sound) == 0
        assert records.read_header(str(tmp_path / "out" / "film.tfrecord")).source_uri == str(tmp_path / name)
    assert read_json(tmp_path / "out" / "run_manifest.json")["films"]["skipped"] == 1


def test_paths_that_the_system_refuses_are_failures_of_their_films(films, tmp_path):
    (tmp_path / "circle.mp4").symlink_to(tmp_path / "circle.mp4")
    manifest = tmp_path / "films.csv"
    rows = ["film_id,path", f"good,{films}/silent.mp4", "long," + "n" * 300 + ".mp4", "circle,circle.mp4", "no,no.mp4"]
    manifest.write_text("\n".join(rows) + "\n")
    assert (
        run(manifest, tmp_path / "out", "--workers", "1", "--set=modalities=[audio]", "--set=failure_threshold=1") == 3
    )
    rows = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert {row["film_id"]: row["reason"] for row in rows} == {
        "long": "name_too_long",
        "circle": "not_readable",
        "no": "not_found",
    }
    assert list(records.list_records(str(tmp_path / "out"))) == ["good"]


def test_another_seed_is_another_fingerprint_and_is_extracted_again(films, tmp_path):
    one = ("--workers", "1", "--set=modalities=[audio]")
    glob = films / "half*.mp4"
    assert run(glob, tmp_path, *one) == 0
    first = records.read_record(str(tmp_path / "half_second.mp4.tfrecord"))
    assert run(glob, tmp_path, *one, "--set=audio.seed=1") == 0
    second = records.read_record(str(tmp_path / "half_second.mp4.tfrecord"))
    assert first.header.fingerprints() != second.header.fingerprints()
    assert not np.array_equal(first.tracks["audio"].values, second.tracks["audio"].values)


def test_the_sound_track_is_chosen_named_recorded_and_shown(tmp_path, capsys):
    """Another track is extracted again, by itself; its fingerprint is the same, for models take any track."""
    tracks = [Track(other(3), language="eng", flags=Disposition.default), Track(rising(3), language="fre", title="Mix")]
    film = write_tracks(tmp_path / "two.mkv", 3, tracks)
    output, sound = tmp_path / "out", ("--workers", "1", "--set=modalities=[audio]")
    named = (*sound, "--set=sound_track=fra")
    assert run(film, output, *sound) == 0
    uri = str(output / "two.mkv.tfrecord")
    first = records.read_record(uri)
    assert first.header.quality["sound"]["tracks"][0]["language"] == "eng"
    assert first.header.video_stream == 0
    assert [each.code for each in first.header.warnings] == ["sound_track_chosen"]
    capsys.readouterr()
    assert run(film, output, *named, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "pcm_s16le 8000 Hz mono fre, stream 2 of 2 tracks" in shown
    assert "extract audio" in shown
    assert run(film, output, *named) == 0
    second = records.read_record(uri)
    assert second.header.fingerprints() == first.header.fingerprints()
    assert second.header.quality["sound"]["tracks"] == [
        {"index": 2, "codec": "pcm_s16le", "rate_hz": 8_000, "layout": "mono", "language": "fre", "title": "Mix"}
    ]
    assert second.header.warnings == ()
    assert not np.array_equal(first.tracks["audio"].values, second.tracks["audio"].values)
    assert run(film, output, *named) == 0
    assert read_json(output / "run_manifest.json")["films"]["skipped"] == 1


def test_too_many_failures_have_their_own_exit_code(films, tmp_path):
    assert (
        run(films / "*t*.mp4", tmp_path, "--workers=1", "--set=modalities=[audio]", "--set=failure_threshold=0.1") == 4
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--films", "nowhere"], "nowhere: no such folder or file"),
        (["--films", "{films}", "--set", "image.batchsize=3"], "did you mean 'batch_size'"),
        (["--films", "{films}", "--outptu", "x"], "unknown option --outptu; did you mean '--output'?"),
        (["--films", "{films}/a.mp4", "{films}/b.mp4"], "put a glob in quotes"),
        (["--films", "{films}", "--direct_num_worker=2"], "did you mean 'direct_num_workers'"),
        (["--films", "{films}", "--set", "image.weights=inception"], "inception"),
        (["--films", "{films}"], "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        (["--films", "{films}"], "facenet_vggface2"),
        (["--films", "{films}"], "weights fetch inception_v3_imagenet vggish_audioset facenet_vggface2"),
    ],
)
def test_configuration_errors_come_before_anything_starts(films, tmp_path, arguments, expected, capsys, monkeypatch):
    monkeypatch.setenv("CINEAFFECT_WEIGHTS", str(tmp_path / "no-weights"))
    arguments = [argument.format(films=films) for argument in arguments]
    assert extract.main([*arguments, "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert "WARNING" not in said
    assert not (tmp_path / "out").exists()


def test_a_misspelt_option_is_named_also_where_it_was_a_needed_one(films, capsys, caplog):
    assert extract.main(["--films", str(films), "--outptu", "x"]) == 2
    assert capsys.readouterr().err.splitlines() == ["error: unknown option --outptu; did you mean '--output'?"]
    assert extract.main(["--films", str(films), "--output", "x", "--something_else=1"]) == 2
    assert "unknown option --something_else; see --help" in capsys.readouterr().err
    assert not caplog.records


def test_an_output_that_is_a_file_is_refused(films, tmp_path, capsys):
    (tmp_path / "out").write_text("something")
    assert run(films, tmp_path / "out", "--workers=1") == 2
    assert "can't be a directory" in capsys.readouterr().err


def test_the_module_runs_as_a_program_and_explains_itself():
    done = subprocess.run(
        [sys.executable, "-m", "beam_pipelines.extract", "--help"], capture_output=True, text=True, check=True
    )
    for word in ("--films", "PortableRunner", "DataflowRunner", "exit codes"):
        assert word in done.stdout
