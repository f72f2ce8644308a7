"""Feature records: how fast they are written and read, and what a form of fewer bits costs and loses.

    python -m benchmarks.records                         # made features, of realistic distributions
    python -m benchmarks.records --records features      # of the records of your own films (float32), the first three

The first table compares three ways, in milliseconds of CPU time (user and system) a film: ours, plain protocol-buffer
objects of TensorFlow (one Python object a step, one a value), and the decoder of `tfx_bsl`, whose arrays are not yet
tracks and whose timestamps are wrong after 35 min 47 s. All take turns; a ratio is the median of the turns' ratios.

In the second table "write" and "read" are seconds of film per second of CPU time, the median of `--repeats` turns;
"presence" is `read_presence`, which unpacks no values. "loss" is the root mean square error as a share of a dimension's
standard deviation over the film, of the worst dimension of all; "largest" is the largest relative error of a value
above 0.001. Eight bits are for the sound only, whitened (`audio.postprocess: youtube8m`).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from beam_pipelines.contracts.records import quantisation, records
from beam_pipelines.contracts.records.feature_track import FeatureTrack, FilmRecord, RecordHeader, make_record, slots_of
from beam_pipelines.foundation.tensorflow_start import start_tensorflow
from benchmarks.plain_records import read_by_tfx_bsl, read_plainly, segments_of, write_plainly

SIZES: Mapping[str, int] = {"image": 2048, "audio": 128, "face": 1024}
FORMS: Mapping[str, str | None] = {"float32": None, "float16": quantisation.FLOAT16, "uint8": quantisation.UINT8}
MEASURED = (("image, audio, face", ("float32", "float16")), ("audio", ("float32", "float16", "uint8")))
SHORT_S = 71
TINY = 1e-3


def made_record(seconds: int) -> FilmRecord:
    """A film's features as networks give them: averages of rectified values, whitened sound, unit vectors of faces."""
    rng = np.random.default_rng(2018)
    tracks = {}
    for modality, size in SIZES.items():
        slots = slots_of(modality)
        values = rng.normal(size=(seconds, slots, size // slots))
        present = np.ones((seconds, slots))
        if modality == "image":
            values = rng.gamma(0.7, 0.6, size=values.shape)
        if modality == "face":
            values /= np.linalg.norm(values, axis=2, keepdims=True)
            present = (rng.random((seconds, 1)) < [[0.6, 0.3]]).astype(float)
            values *= present[:, :, None]
        tracks[modality] = FeatureTrack(
            values.reshape(seconds, size).astype(np.float32),
            present.astype(np.float32),
            1_000_000 * np.arange(seconds, dtype=np.int64),
            {"network": f"made {modality}"},
        )
    return make_record(RecordHeader("made", "made", 1, "0" * 64, seconds, seconds * 1_000_000, 0), tracks)


def in_form(record: FilmRecord, form: str | None) -> FilmRecord:
    """The record with all of its tracks in a form."""
    if form is None:
        return record
    film_id = record.header.film_id
    return make_record(record.header, {m: quantisation.as_stored(t, form, film_id) for m, t in record.tracks.items()})


def loss(record: FilmRecord, stored: FilmRecord) -> tuple[float, float]:
    """Worst root mean square error of a dimension in its standard deviations; largest relative error of a value."""
    worst, largest = 0.0, 0.0
    for modality, track in record.tracks.items():
        error = stored.tracks[modality].values.astype(np.float64) - track.values
        spread = track.values.std(axis=0)
        varies = spread > 0
        if varies.any():
            worst = max(worst, float((np.sqrt((error**2).mean(axis=0))[varies] / spread[varies]).max()))
        big = np.abs(track.values) > TINY
        if big.any():
            largest = max(largest, float((np.abs(error[big]) / np.abs(track.values[big])).max()))
    return worst, largest


def cpu_seconds(work: Callable[[], object]) -> float:
    """User and system time of this process for one call."""
    before = time.process_time()
    work()
    return time.process_time() - before


def measure(record: FilmRecord, forms: Sequence[str], folder: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Form -> bytes a second, film seconds per CPU second of writing, reading and reading presence, and the losses."""
    stored = {name: in_form(record, FORMS[name]) for name in forms}
    uris = {name: str(folder / f"{name}.tfrecord") for name in forms}
    taken: dict[str, dict[str, list[float]]] = {n: {"write": [], "read": [], "presence": []} for n in forms}
    for _ in range(repeats):
        for name, one in stored.items():
            taken[name]["write"].append(cpu_seconds(lambda one=one, name=name: records.write_record(one, uris[name])))
            taken[name]["read"].append(cpu_seconds(lambda name=name: records.read_record(uris[name])))
            taken[name]["presence"].append(cpu_seconds(lambda name=name: records.read_presence(uris[name])))
    figures = {}
    for name in forms:
        again = records.read_record(uris[name])
        for modality, track in stored[name].tracks.items():
            if not np.array_equal(again.tracks[modality].values, track.values):
                raise SystemExit(f"{name}: {modality} comes back otherwise than it was written")
        seconds = record.header.seconds
        speeds = {what: seconds / statistics.median(times) for what, times in taken[name].items()}
        worst, largest = loss(record, again)
        size = Path(uris[name]).stat().st_size / seconds
        figures[name] = {"bytes_a_second": size, **speeds, "loss": worst, "largest": largest}
    return figures


def compare_ways(record: FilmRecord, folder: Path, turns: int) -> dict[str, list[tuple[float, float]]]:
    """What is done -> for ours, plain objects and (reading) `tfx_bsl`: milliseconds, and that as a multiple of ours."""
    ours, plain = folder / "ours.tfrecord", folder / "plain.tfrecord"
    records.write_record(record, str(ours))
    segments = segments_of(ours)
    work: dict[str, list[Callable[[], object]]] = {
        "write": [lambda: records.write_record(record, str(ours)), lambda: write_plainly(record, plain, segments)],
        "read": [lambda: records.read_record(str(ours)), lambda: read_plainly(ours), lambda: read_by_tfx_bsl(ours)],
    }
    figures = {}
    for what, ways in work.items():
        taken = [[1000 * cpu_seconds(way) for way in ways] for _ in range(turns + 1)][1:]  # the first one warms up
        medians = [statistics.median(times) for times in zip(*taken, strict=True)]
        ratios = [statistics.median(turn[way] / turn[0] for turn in taken) for way in range(1, len(ways))]
        figures[what] = list(zip(medians, [1.0, *ratios], strict=True))
    if ours.read_bytes() != plain.read_bytes():
        raise SystemExit("the two writers don't write the same bytes")
    return figures


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", help="directory of feature records in float32")
    parser.add_argument("--seconds", type=int, default=1200, help="of the made film (default: 1200)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each form (default: 5)")
    arguments = parser.parse_args()
    start_tensorflow(1)
    if arguments.records:
        found = [records.read_record(uri) for uri in list(records.list_records(arguments.records).values())[:3]]
    else:
        found = [made_record(arguments.seconds)]
    print_ways([*found, made_record(SHORT_S)], arguments.repeats)
    print_forms(found, arguments.repeats)


def print_ways(found: Sequence[FilmRecord], turns: int) -> None:
    """Prints the first table."""
    print(
        "| film | seconds | form | | ours, ms | plain objects, ms | times | tfx_bsl, ms | times |\n" + 9 * "|---" + "|"
    )
    for record in found:
        for form in ("float32", "float16"):
            with tempfile.TemporaryDirectory() as folder:
                figures = compare_ways(in_form(record, FORMS[form]), Path(folder), turns)
            for what, ways in figures.items():
                others = [f"{milliseconds:.2f} | {times:.1f}" for milliseconds, times in ways[1:]]
                cells = [record.header.film_id, str(record.header.seconds), form, what, f"{ways[0][0]:.2f}", *others]
                print("| " + " | ".join(cells) + (" | | |" if what == "write" else " |"))
    print()


def print_forms(found: Sequence[FilmRecord], repeats: int) -> None:
    """Prints the second table."""
    print("| film | features | form | KB a second | write | read | presence | loss | largest |\n" + 9 * "|---" + "|")
    for record in found:
        for modalities, forms in MEASURED:
            chosen = {m: record.tracks[m] for m in modalities.split(", ") if m in record.tracks}
            with tempfile.TemporaryDirectory() as folder:
                figures = measure(make_record(record.header, chosen), forms, Path(folder), repeats)
            for name, f in figures.items():
                print(
                    f"| {record.header.film_id} | {modalities} | {name} | {f['bytes_a_second'] / 1000:.2f} | "
                    f"{f['write']:,.0f} | {f['read']:,.0f} | {f['presence']:,.0f} | "
                    f"{f['loss']:.2g} | {f['largest']:.2g} |"
                )


if __name__ == "__main__":
    main()
