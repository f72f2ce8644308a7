"""Every command of docs/similar-films.md runs, in its order, on films whose curves are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from beam_pipelines import cli
from beam_pipelines.report.arcs import arc_plots
from tests.support.arc_films import film_of, write_run
from tests.support.documentation import blocks_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "similar-films.md"


def test_similar_films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("plot_similar", "plot_families"):  # the tests of the commands draw
        monkeypatch.setattr(arc_plots, name, lambda *_: None)
    curves = [film_of(seed % 3, seed) for seed in range(12)]
    write_run(tmp_path / "scores", [replace(curves[1], film_id="first"), curves[0], *curves[2:]])
    (tmp_path / "films.csv").write_text("film_id,path\nfirst,first.mp4\n")
    monkeypatch.chdir(tmp_path)
    ran = []
    for block in blocks_of(PAGE):
        if block.name:
            Path(block.name).write_text(block.text)
        for program, *arguments in block.commands:
            assert program == "cineaffect"
            assert cli.main(arguments) == 0, arguments
            ran.append(arguments[0])
        if block.text.startswith("ffmpeg"):
            with pytest.raises(SystemExit):
                cli.main(["highlights", "--help"])
            assert " ".join(block.text.split()) in " ".join(capsys.readouterr().out.split())
            ran.append("ffmpeg")
    assert ran == ["similar", "similar", "similar", "families", "highlights", "ffmpeg"]
    assert "Cinderella" in (tmp_path / "scores" / "similar" / "arc.csv").read_text().splitlines()[1]
