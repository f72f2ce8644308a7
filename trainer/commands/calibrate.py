"""`cineaffect calibrate`: bands around a model's curves, from films that had no part in it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.command_line import add_configuration, comma_separated, guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK, ConfigurationError

EXAMPLES = """
examples:
  the films of the manifest's split `calibration`, and how well the bands hold on those of `test`:
    cineaffect calibrate --model run/exports --records features --manifest films.csv
  then scored as any other model; the curves have the columns valence_low_80, valence_high_80, …:
    cineaffect score --records features --model run/exports --output scores

A random second of a new film, of the kind of the calibration films, lies within the band with a chance of at least 80
or 95 %. Films count, not seconds: 80 % needs 4 films, 95 % needs 19. Films that the model learned from, or that chose
its epoch and filter, are refused. The calibrated model is a new version beside the old one.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect calibrate` (find, predict, measure, export) and returns the exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)

    from beam_pipelines.contracts.curves.bands import lines
    from beam_pipelines.contracts.models.current_version import read_current
    from beam_pipelines.contracts.models.exported_cards import exports_of, versions_of
    from beam_pipelines.films.catalogue import films_of_splits, read_manifest
    from beam_pipelines.foundation.configuration import load_section
    from beam_pipelines.foundation.tensorflow_start import start_tensorflow
    from trainer.exporting.calibration import calibrate, export_calibrated
    from trainer.exporting.ensemble_members import find_member
    from trainer.foundation.config import TrainConfig

    config = load_section("train", TrainConfig, arguments.config, arguments.overrides)
    listed = read_manifest(arguments.manifest)
    films = films_of_splits(listed, arguments.splits, arguments.manifest)
    if not films:
        raise ConfigurationError("--splits: names no film to calibrate on")
    # The default split need not be there; one that somebody names must.
    named = arguments.test_splits is not None
    test_splits = arguments.test_splits if named else tuple({f.split for f in listed} & {"test"} - {*arguments.splits})
    test_films = [film for film in films_of_splits(listed, test_splits, arguments.manifest) if named or film.labels]
    start_tensorflow()
    model = find_member(arguments.model)
    calibration = calibrate(model, films, test_films, arguments.records, config)
    exports = arguments.output or exports_of(model.uri)
    version = arguments.export_version or max(versions_of(exports), default=0) + 1
    for target, levels in calibration.half_widths.items():
        widths = ", ".join(f"{level} % within ±{half:.3f}" for level, half in levels.items())
        print(f"{target}: {widths} of the curve, by {len(films)} films")
    measured = lines(calibration.measured)
    print("\n".join(measured or ["there are no test films with labels, so how well the bands hold isn't measured"]))
    directory = export_calibrated(model, calibration, storage.join(exports, str(version)))
    if note := find_member(directory).reference.card.without_bands(model.reference.card.smoothing):
        print(note)
    if (current := read_current(exports)) is not None:
        print(f"{exports}/current still names version {current}; `cineaffect rollback --to {version}` moves it")
    print(f"model: {directory}")
    return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    description = "Measures how far labels lie from a model's curves, and exports the model with bands that hold."
    parser = make_parser("calibrate", description, EXAMPLES)
    parser.add_argument("--model", required=True, help="training run, directory of exports, or version")
    parser.add_argument("--records", required=True, help="directory of feature records, from extract, local or gs://")
    parser.add_argument("--manifest", required=True, help="CSV with the columns film_id, path, split and labels")
    parser.add_argument(
        "--splits",
        type=comma_separated,
        default="calibration",
        help="films to calibrate on, comma separated (default: calibration)",
    )
    parser.add_argument(
        "--test-splits",
        type=comma_separated,
        help="films that show how well the bands hold (default: test, if it is there)",
    )
    parser.add_argument("--output", help="directory of exports (default: that of the model)")
    parser.add_argument("--export-version", type=int, help="number of the new version (default: the next free one)")
    file = "YAML file; its section train.labels says how labels are read"
    add_configuration(parser, "train", "labels.minimum=0", file)
    return parser
