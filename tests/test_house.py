"""The house: what is pure stays pure, and the jobs meet only at their contracts. A walk over all imports holds it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BEAM = ("apache_beam", "tensorflow_transform", "tfx_bsl")
TENSORFLOW = ("tensorflow", "keras")

SHARED_FOUNDATION = {
    "beam_pipelines.catalogue",
    "beam_pipelines.compute",
    "beam_pipelines.configuration",
    "beam_pipelines.current_version",
    "beam_pipelines.curves",
    "beam_pipelines.errors",
    "beam_pipelines.exported_model",
    "beam_pipelines.feature_track",
    "beam_pipelines.mediaeval2018",
    "beam_pipelines.quantisation",
    "beam_pipelines.raw_prediction",
    "beam_pipelines.records",
    "beam_pipelines.report.run_pages",
    "beam_pipelines.run_summary",
    "beam_pipelines.score_config",
    "beam_pipelines.smoothing",
    "beam_pipelines.storage",
}
"""What the trainer may use of beam_pipelines: pure modules that all jobs share, no pipeline."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for package in ("beam_pipelines", "trainer")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports anywhere, also inside functions; not what only type checkers read."""
    found: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {inner for node in ast.walk(tree) if is_for_types(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def reachable(start: str) -> dict[str, str]:
    """Every module reachable from `start` through this project's imports -> the module of ours that imports it."""
    seen: dict[str, str] = {}
    queue = [start]
    visited = {start}
    while queue:
        current = queue.pop()
        for name in imports_of(MODULES[current]):
            seen.setdefault(name, current)
            if name in MODULES and name not in visited:
                visited.add(name)
                queue.append(name)
    return seen


def assert_free_of(modules: list[str], forbidden: tuple[str, ...]) -> None:
    assert modules
    for module in modules:
        for name, through in reachable(module).items():
            assert name.split(".")[0] not in forbidden, f"{module} reaches {name} through {through}"


def named(*prefixes: str) -> list[str]:
    return [m for m in MODULES if any(m == p or m.startswith(p + ".") for p in prefixes)]


def test_what_computes_knows_nothing_of_beam():
    pure = named(
        "beam_pipelines.media", "beam_pipelines.extractors", "beam_pipelines.records", "beam_pipelines.smoothing"
    )
    pure += named("beam_pipelines.extraction", "beam_pipelines.report", "trainer")
    pure += [
        f"beam_pipelines.{name}" for name in ("curves", "curve_table", "curve_files", "exported_model", "tfrecord")
    ]
    pure += ["beam_pipelines.score_receipt", "beam_pipelines.score_config", "beam_pipelines.compute"]
    # The command of the weights table is for a person, but it needs no Beam either.
    assert_free_of(pure, BEAM)


def test_media_and_smoothing_know_nothing_of_tensorflow():
    assert_free_of(named("beam_pipelines.media", "beam_pipelines.smoothing"), (*BEAM, *TENSORFLOW))


def test_networks_but_the_face_detector_are_backend_neutral():
    for module in named("beam_pipelines.extractors"):
        if module.endswith((".mtcnn_cascade", ".vggish")):
            continue  # MTCNN runs on TensorFlow only; VGGish's published checkpoint is read by TensorFlow's reader
        names = {name.split(".")[0] for name in imports_of(MODULES[module])}
        assert "tensorflow" not in names, module


def test_score_does_not_import_the_trainer():
    for module in named("beam_pipelines"):
        assert not any(name.split(".")[0] == "trainer" for name in imports_of(MODULES[module])), module


def test_the_trainer_imports_no_pipeline():
    for module in named("trainer"):
        for name in imports_of(MODULES[module]):
            if name in MODULES and name.startswith("beam_pipelines."):
                assert name in SHARED_FOUNDATION, f"{module} imports {name}"


@pytest.mark.parametrize("module", ["beam_pipelines", "beam_pipelines.records", "beam_pipelines.smoothing", "trainer"])
def test_importing_the_foundation_loads_neither_beam_nor_tensorflow(module):
    code = f"import sys, {module}; print(sorted({{'apache_beam', 'tensorflow', 'keras'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_file_is_named_after_nothing():
    assert not [m for m in MODULES if m.rsplit(".", 1)[-1] in ("utils", "helpers", "common", "misc")]
