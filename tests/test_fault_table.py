"""The table of faults in tests/README.md names files and tests that are there: who moves one is told."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent


def test_the_table_names_files_and_tests_that_are_there():
    table = (TESTS / "README.md").read_text(encoding="utf-8").partition("| fault |")[2]
    faults = [row.split("|")[2:4] for row in table.splitlines() if row.count("|") == 4 and "`" in row]
    assert len(faults) > 40
    for places, tests in faults:
        folder = ROOT
        for place in re.findall(r"`([\w/]+\.(?:py|js))`", places):
            # A second file of a row lies beside the first.
            found = [file for file in (ROOT / "beam_pipelines" / place, ROOT / place, folder / place) if file.is_file()]
            assert found, place
            folder = found[0].parent
        file = ""
        for name, test in re.findall(r"`(?:([\w/]+\.py)::)?(test_\w+)`", tests):
            file = (TESTS / name).read_text(encoding="utf-8") if name else file
            assert f"def {test}(" in file, f"{name}::{test}"
        assert file, f"no test of {places}"
