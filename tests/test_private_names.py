"""Private names of other packages that the product relies on, and the versions that have them.

An update may rename one without a word, and an override under the old name would then do nothing.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
OTHERS_NAMES = {
    "beam_pipelines/foundation/command_line.py": "_actions",
    "beam_pipelines/foundation/storage/object_storage.py": "_http",
    "beam_pipelines/media/worker/decoding_child.py": "_exit",  # of os: private by its name only
    "trainer/commands/tune.py": "_exit",
}
"""Module -> the name with an underscore that it reads from somebody else's object."""


def test_a_parser_lists_its_options() -> None:
    """`command_line.parse_known` reads `argparse.ArgumentParser._actions`: Python 3.11.7 and 3.12."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--films")
    assert [action.option_strings for action in parser._actions] == [["--films"]]


def test_beam_asks_a_transform_for_its_inputs() -> None:
    """`WriteTransform` overrides `PTransform._extract_input_pvalues`: apache-beam 2.77.0."""
    beam = pytest.importorskip("apache_beam")
    asked: list[Any] = []

    class Asked(beam.PTransform):
        def _extract_input_pvalues(self, numbers: Any) -> Any:
            asked.append(numbers)
            return super()._extract_input_pvalues(numbers)

        def expand(self, numbers: Any) -> Any:
            return numbers

    numbers = beam.Pipeline() | beam.Create([1])
    numbers | Asked()
    assert asked == [numbers]


def test_keras_sums_gradients_over_replicas_by_a_method_of_the_optimizer() -> None:
    """`training.step` overrides `Optimizer._all_reduce_sum_gradients`: keras 3.15.0 on TensorFlow 2.21.0."""
    keras = pytest.importorskip("keras")
    given: list[Any] = []

    class Given(keras.optimizers.SGD):
        def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
            given.append(list(grads_and_vars))
            return given[-1]

    weight, optimizer = keras.Variable(1.0), Given(0.5)
    optimizer.apply([keras.ops.convert_to_tensor(1.0)], [weight])
    assert len(given) == 1
    assert float(weight.value) == 0.5


def test_there_are_no_others() -> None:
    found = {}
    for package in ("beam_pipelines", "trainer"):
        for path in (REPOSITORY / package).rglob("*.py"):
            for name in others_private_names(path.read_text(encoding="utf-8")):
                found[path.relative_to(REPOSITORY).as_posix()] = name
    assert found == OTHERS_NAMES


def others_private_names(source: str) -> Iterator[str]:
    """Attributes with one underscore that a module reads, of anything but itself, and doesn't define."""
    tree = ast.parse(source)
    # A named tuple's.
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)} | {"_replace", "_asdict"}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            own |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not node.attr.startswith("_") or node.attr.startswith("__"):
            continue
        if node.attr not in own and ast.unparse(node.value) not in ("self", "cls"):
            yield node.attr
