"""Every command of docs/own-films.md runs, in its order."""

from __future__ import annotations

import pytest

from tests.support.page_reader import DOCS, Reader


@pytest.mark.slow
def test_own_films(reader: Reader) -> None:
    reader.follow(DOCS / "own-films.md")
    assert (reader.directory / "scores" / "curves" / "fourth.mp4.csv").is_file()
    assert (reader.directory / "trial" / "fourth.mp4.tfrecord").is_file()
    assert "NON-DROP" in (reader.directory / "scores" / "report" / "markers" / "fourth.mp4.edl").read_text()
