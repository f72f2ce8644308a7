"""`similar`, `families` and `arcs.parquet`: films of known shapes are found together, in the same bytes again."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from beam_pipelines.commands import families, similar
from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.report.arcs import arc_plots, arc_table, families as families_module
from beam_pipelines.report.arcs.arc_table import families_of, load_arcs, read_arcs, table_uri, write_arcs
from beam_pipelines.report.arcs.arcs import arcs_of
from beam_pipelines.report.arcs.families import find_families
from beam_pipelines.report.scoring.scoring_run import read_scoring_run
from tests.support.arc_films import STORIES, film_of, write_films, write_run
from tests.support.documentation import blocks_of

ROOT = Path(__file__).resolve().parents[3]
FILMS = 18


@pytest.fixture(autouse=True)
def no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture costs more than all else that these tests do: only the tests of pictures draw."""
    if "pictures" not in request.node.name:
        for name in ("plot_similar", "plot_families"):
            monkeypatch.setattr(arc_plots, name, lambda *_: None)


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    write_films(tmp_path / "scores", FILMS)
    return tmp_path / "scores"


def story_of(film_id: str) -> str:
    return film_id.rsplit(" ", 1)[0]


def test_films_of_the_same_shape_are_the_most_similar(scores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert similar.main(["--scores", str(scores), "--film", "Cinderella 2", "--top", "5", "--target", "valence"]) == 0
    out = capsys.readouterr().out
    assert "5 of 18 films, nearest to Cinderella 2 by shape of valence" in out
    rows = (scores / "similar" / "Cinderella 2.valence.csv").read_text().splitlines()
    assert rows[0] == "film_id,distance,seconds,valence_mean"
    found = [row.split(",") for row in rows[1:]]
    assert {story_of(cells[0]) for cells in found} == {"Cinderella"}
    assert "Cinderella 2" not in {cells[0] for cells in found}
    far = [float(cells[1]) for cells in found]
    assert far == sorted(far)
    assert all(cells[0] in out for cells in found)


def test_a_mean_of_almost_nothing_has_no_minus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    way = np.linspace(-0.5, 0.5, 100) - 1e-9
    write_run(tmp_path, [AffectCurve(name, way, way, way, way) for name in ("one", "other")])
    assert similar.main(["--scores", str(tmp_path), "--film", "one"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("other"))
    assert line.split()[-2:] == ["+0.00", "+0.00"]


def test_films_like_a_written_arc_by_its_shape_and_by_its_level(scores: Path, tmp_path: Path) -> None:
    arc = tmp_path / "up.csv"
    arc.write_text("percent,valence\n0,-0.9\n20,-0.8\n80,0.8\n100,0.9\n")
    found = {}
    tables = {"shape": "up.csv", "level": "up.level.csv", "both": "up.both.csv"}
    for by in tables:
        assert similar.main(["--scores", str(scores), "--to", str(arc), "--by", by, "--top", "6"]) == 0
    for by, name in tables.items():  # none has taken another's place
        rows = (scores / "similar" / name).read_text().splitlines()[1:]
        found[by] = [row.split(",")[0] for row in rows]
    assert {story_of(film) for film in found["shape"]} == {"rags to riches"}
    assert {story_of(film) for film in found["both"]} == {"rags to riches"}
    assert found["level"] != found["shape"]
    # Beside the arc, its own table would take its place.
    written = arc.read_text()
    assert similar.main(["--scores", str(scores), "--to", str(arc), "--output", f"{scores}/.."]) == 2
    assert arc.read_text() == written


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--film", "Cinderela 2"], "no film 'Cinderela 2'; did you mean 'Cinderella 2'?"),
        (["--to", "none.csv"], "none.csv: no such file"),
    ],
)
def test_what_cannot_be_compared_is_named(
    scores: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert similar.main(["--scores", str(scores), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_families_are_the_known_shapes_and_a_column_of_the_table(
    scores: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert families.main(["--scores", str(scores), "--families", "auto"]) == 0
    out = capsys.readouterr().out
    assert "3*" in out
    assert "continuum" not in out
    assert all(story in out for story in STORIES)
    table = pq.read_table(scores / "arcs.parquet").to_pylist()
    by_family = {}
    for row in table:
        by_family.setdefault(row["family"], set()).add(story_of(row["film_id"]))
        assert row["story"] == story_of(row["film_id"])
        assert row["story_distance"] < 0.2
        assert len(row["valence"]) == len(row["arousal"]) == 100
    assert sorted(map(len, by_family.values())) == [1, 1, 1]
    assert sorted(by_family) == [1, 2, 3]
    before = (scores / "arcs.parquet").read_bytes()
    assert families.main(["--scores", str(scores)]) == 0
    assert (scores / "arcs.parquet").read_bytes() == before
    # Another command keeps them.
    assert similar.main(["--scores", str(scores), "--film", "Cinderella 2", "--top", "2"]) == 0
    assert (scores / "arcs.parquet").read_bytes() == before
    assert "family" in (scores / "similar" / "Cinderella 2.csv").read_text()


def test_films_without_groups_are_said_to_have_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(3)
    walks = [np.cumsum(random.normal(0, 0.01, (2, 200)), axis=1) for _ in range(24)]
    write_run(tmp_path, [AffectCurve(f"walk {n}", *walk, *walk) for n, walk in enumerate(walks)])
    assert families.main(["--scores", str(tmp_path)]) == 0
    assert "them as regions of one continuum" in capsys.readouterr().out


def test_films_of_a_model_of_one_target_have_no_story(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curves = [film_of(seed % 3, seed) for seed in range(10)]
    write_run(tmp_path, [AffectCurve(c.film_id, arousal=c.valence, arousal_raw=c.valence) for c in curves])
    assert families.main(["--scores", str(tmp_path), "--families", "3"]) == 0
    assert "story" not in capsys.readouterr().out
    columns = pq.read_schema(tmp_path / "arcs.parquet").names
    assert "story" not in columns
    assert "valence" not in columns
    assert similar.main(["--scores", str(tmp_path), "--film", "Cinderella 2", "--top", "2"]) == 0
    assert "by shape of arousal" in capsys.readouterr().out
    assert similar.main(["--scores", str(tmp_path), "--film", "Cinderella 2", "--target", "valence"]) == 2
    assert (
        "--target valence: not in both; what is compared has arousal, the films have arousal" in capsys.readouterr().err
    )


def test_levels_of_a_model_that_gives_every_film_its_own_range_are_not_compared(
    scores: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((scores / "run_manifest.json").read_text())
    manifest["model"]["own_range"] = True
    (scores / "run_manifest.json").write_text(json.dumps(manifest))
    arguments = ["--scores", str(scores), "--film", "Cinderella 2", "--by"]
    assert similar.main([*arguments, "level"]) == 2
    assert "levels can't be compared; use --by shape" in capsys.readouterr().err
    assert similar.main([*arguments, "shape"]) == 0


def test_too_few_films_have_no_families(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_films(tmp_path, 5)
    assert families.main(["--scores", str(tmp_path)]) == 2
    assert "needs 10 films at least; these scores hold 5" in capsys.readouterr().err


def test_of_many_films_a_sample_finds_the_families_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    arcs = arcs_of([film_of(seed % 3, seed) for seed in range(60)], (-1.0, 1.0))
    whole = find_families(arcs)
    monkeypatch.setattr(families_module, "LARGEST_SAMPLE", 24)
    sampled = find_families(arcs)
    assert (sampled.sampled, whole.sampled) == (24, 60)
    stories = [{story_of(arcs.film_ids[n]) for n in np.flatnonzero(sampled.family == k)} for k in (1, 2, 3)]
    assert sorted(map(len, stories)) == [1, 1, 1]
    assert sampled.family.min() == 1
    assert all(sampled.family[medoid] == number for number, medoid in enumerate(sampled.medoids, start=1))


def test_the_table_gives_back_the_arcs_and_is_made_again_when_the_scores_change(
    scores: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = read_scoring_run(str(scores))
    assert read_arcs(run) is None
    made = load_arcs(run)
    read = read_arcs(run)
    assert read is not None
    for name in ("film_ids", "targets", "seconds", "shape", "mean", "spread", "range", "peaks"):
        np.testing.assert_array_equal(getattr(read, name), getattr(made, name), err_msg=name)
    write_arcs(run, replace(read, family=np.ones(FILMS, np.int32)))
    assert families_of(run) == dict.fromkeys(read.film_ids, 1)
    assert caplog.text == ""
    write_films(scores, FILMS + 1)
    assert families_of(run) == {}
    assert "its families are of other scores" in caplog.text
    assert len(load_arcs(run)) == FILMS + 1
    (scores / "arcs.parquet").write_bytes(b"PAR1 cut off")
    assert len(load_arcs(run)) == FILMS + 1
    assert read_arcs(run) is not None


def test_a_directory_that_may_only_be_read_has_arcs_all_the_same(
    scores: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(arc_table, "write_arcs", refuse)
    assert len(load_arcs(read_scoring_run(str(scores)))) == FILMS
    assert "not written (read-only)" in caplog.text


def test_the_query_of_the_documentation_finds_the_ten_nearest(scores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb = pytest.importorskip("duckdb")
    load_arcs(read_scoring_run(str(scores)))
    (query,) = [block.text for block in blocks_of(ROOT / "docs" / "formats.md") if "array_distance" in block.text]
    monkeypatch.chdir(scores.parent)
    found = duckdb.sql(query.replace("first", "Cinderella 2")).fetchall()
    arcs = load_arcs(read_scoring_run(str(scores)))
    flat = arcs.shape.astype(float).reshape(len(arcs), -1)
    far = np.linalg.norm(flat - flat[arcs.film_ids.index("Cinderella 2")], axis=1)
    expected = [arcs.film_ids[place] for place in np.argsort(far, kind="stable")[1:11]]
    assert [row[0] for row in found] == expected
    assert Path(table_uri(str(scores))).name == "arcs.parquet"


def test_the_pictures_have_a_panel_for_every_film_and_family(scores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--scores", str(scores), "--film", "Cinderella 2"]
    assert similar.main([*arguments, "--top", "2", "--by", "both"]) == 0
    assert families.main(["--scores", str(scores), "--families", "2"]) == 0
    sizes = []
    for name in ("similar/Cinderella 2.both.png", "families/families.png"):
        head = (scores / name).read_bytes()[:24]
        assert head.startswith(b"\x89PNG")
        sizes.append(struct.unpack(">II", head[16:]))
    (similar_px, _), (families_px, families_high_px) = sizes
    # Two panels beside each other; two families, each with valence above arousal.
    assert similar_px == families_px
    assert families_high_px > 700
    assert f"{scores}/families/families.png" in capsys.readouterr().out
