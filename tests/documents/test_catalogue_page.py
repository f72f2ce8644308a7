"""Every command of docs/catalogue.md runs, or is held against its parser where it needs a cluster."""

from __future__ import annotations

import pytest

from tests.support.page_reader import DOCS, Reader


@pytest.mark.slow
def test_catalogue(reader: Reader) -> None:
    reader.follow(DOCS / "catalogue.md")
    assert len(reader.done) > 5
