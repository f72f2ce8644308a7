"""Every command of docs/retraining.md runs, in its order."""

from __future__ import annotations

import shutil

import pytest

from tests.support.page_reader import DOCS, Reader
from trainer.retraining.promotion import move_current


@pytest.mark.slow
def test_retraining(reader: Reader) -> None:
    exports = reader.directory / "models" / "exports"

    def a_second_round_promoted() -> None:
        if not (exports / "2").exists():
            shutil.copytree(exports / "1", exports / "2")
            move_current(str(exports), 2, {"why": "a second round"})

    reader.follow(DOCS / "retraining.md", before={"rollback": a_second_round_promoted})
    assert (exports / "current").read_text().strip() == "1"
    assert list((reader.directory / "nightly" / "curves").glob("*.csv"))
