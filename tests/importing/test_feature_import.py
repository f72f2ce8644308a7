"""One film's imported features: what its record says of the film itself, and the rate of its rows."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from beam_pipelines.commands.import_features import main
from beam_pipelines.contracts.records import records
from beam_pipelines.importing.feature_import import FilmImport, describe_csv, import_film
from tests.support.several_tracks import Pictures, Track, rising, write_tracks


def test_the_record_of_a_film_that_was_cut_off_says_so(tmp_path: Path):
    sound = [Track(rising(8)), Track(rising(8))]
    whole = write_tracks(tmp_path / "whole.mkv", [Pictures([Fraction(n, 25) for n in range(200)])], sound)
    film, table = tmp_path / "film.mkv", tmp_path / "film.csv"
    film.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    table.write_text("x\n1\n2\n3\n")
    header, imported, _ = import_film(
        FilmImport("film", {"mine": str(table)}, str(film)), str(tmp_path), {"mine": describe_csv("mine", "1", ["x"])}
    )
    # Its two sound tracks don't matter: features of others were imported.
    assert (imported, [warning.code for warning in header.warnings]) == (True, ["truncated"])
    read = records.read_header(records.record_uri(str(tmp_path), "film"))
    assert (read.warnings, read.video_stream, read.seconds) == (header.warnings, 0, 4)


@pytest.mark.parametrize("rate", ["25/0", "0", "-25", "fast", "nan"])
def test_what_is_no_rate_is_refused(capsys: pytest.CaptureFixture[str], rate: str):
    with pytest.raises(SystemExit) as caught:
        main(["--csv", "mine", "--name", "mine", "--version", "1", "--output", "features", f"--rate={rate}"])
    assert (caught.value.code, f"'{rate}' is no rate, such as 25" in capsys.readouterr().err) == (2, True)
