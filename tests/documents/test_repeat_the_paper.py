"""Every command of docs/repeat-the-paper.md runs, in its order."""

from __future__ import annotations

import pytest

from tests.support.page_reader import DOCS, Reader


@pytest.mark.slow
def test_repeat_the_paper(reader: Reader) -> None:
    reader.follow(DOCS / "repeat-the-paper.md")
    for folder in ("paper", "reproduction"):
        assert "run5" in (reader.directory / folder / "table1.txt").read_text()
    assert (reader.directory / "comparisons-demo" / "smoothing.txt").is_file()
