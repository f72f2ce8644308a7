"""The wheel holds every file that the packages need at run time: what setup.py forgets would be missing there only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = next(
    ast.literal_eval(keyword.value)
    for node in ast.walk(ast.parse((ROOT / "setup.py").read_text()))
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setup"
    for keyword in node.keywords
    if keyword.arg == "package_data"
)


@pytest.mark.parametrize("package", ["beam_pipelines", "trainer"])
def test_every_file_beside_the_modules_is_package_data(package: str) -> None:
    data = {path for path in (ROOT / package).rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert data
    assert data - {path for pattern in DATA[package] for path in (ROOT / package).glob(pattern)} == set()


def test_every_pattern_finds_files() -> None:
    places = {"trainer.paper": ROOT / "configs" / "paper", "beam_pipelines.docs": ROOT / "docs"}
    for package, patterns in DATA.items():
        for pattern in patterns:
            assert list(places.get(package, ROOT / package).glob(pattern)), f"{package}: {pattern}"
