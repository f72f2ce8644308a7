"""The house: a room has one rule for what it may import, and no module lies loose. A walk over all imports holds it."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("beam_pipelines", "trainer")
LARGEST_ROOM = 12
BEAM = ("apache_beam", "tensorflow_transform", "tfx_bsl.beam", "tfx_bsl.public", "tfx_bsl.tfxio")
TENSORFLOW = ("tensorflow", "keras")
HEAVY = BEAM + TENSORFLOW

LOOSE = {
    "beam_pipelines": {"__init__", "extract", "import_features", "prepare", "score", "cli"},
    "trainer": {"__init__", "task"},
}
"""The modules that lie in a package itself: the jobs, the commands' entry points."""

B, T = "beam_pipelines.", "trainer."
CONTRACTS = (B + "foundation", B + "contracts")
DATA = (*CONTRACTS, B + "films", B + "labels")
EXTRACTORS = (*DATA, B + "media", B + "extractors")
ONE_FILM = (*EXTRACTORS, B + "extraction", B + "importing", B + "scoring", B + "normalisation")
GRAPHS = (*ONE_FILM, B + "report", B + "transforms")
JOBS = tuple(B + job for job in ("extract", "import_features", "prepare", "score"))
COMMANDS = (*GRAPHS, B + "launch", *JOBS, B + "commands")
TRAINER_DATA = (*DATA, T + "foundation", T + "data", T + "network")
TRAINING = (*TRAINER_DATA, T + "evaluation", T + "training", T + "ridge")
EXPERIMENTS = (*TRAINING, T + "exporting", T + "tuning", T + "retraining", T + "experiments")

RULES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # room: (what it may import of this project, beside itself; what it may not import of others)
    B + "foundation": ((), BEAM),
    B + "contracts": (CONTRACTS, BEAM),
    B + "films": (CONTRACTS, HEAVY),
    B + "labels": ((*CONTRACTS, B + "films"), HEAVY),
    B + "media": (DATA, HEAVY),
    B + "extractors": ((*DATA, B + "media"), BEAM),
    B + "extraction": (EXTRACTORS, BEAM),
    B + "builtin": (EXTRACTORS, BEAM),
    B + "importing": (EXTRACTORS, BEAM),
    B + "scoring": (EXTRACTORS, BEAM),
    B + "normalisation": (EXTRACTORS, ("apache_beam",)),
    B + "report": (ONE_FILM, BEAM),
    B + "transforms": (GRAPHS, ()),
    B + "launch": (GRAPHS, ()),
    # A job is an entry point too (`python -m beam_pipelines.extract`), and hands on to its own command.
    **{job: ((*GRAPHS, B + "launch", job.replace(B, B + "commands.")), ()) for job in JOBS},
    B + "commands": (COMMANDS, ()),
    B + "cli": ((B + "foundation",), HEAVY),
    B + "demo": ((*COMMANDS, B + "cli"), BEAM),
    T + "foundation": (DATA, BEAM),
    T + "data": ((*DATA, T + "foundation"), BEAM),
    T + "network": ((*DATA, T + "foundation", T + "data"), BEAM),
    T + "evaluation": (TRAINER_DATA, BEAM),
    T + "training": ((*TRAINER_DATA, T + "evaluation"), BEAM),
    T + "ridge": ((*TRAINER_DATA, T + "evaluation"), HEAVY),
    T + "exporting": (TRAINING, BEAM),
    T + "tuning": (TRAINING, BEAM),
    T + "retraining": ((*TRAINING, T + "exporting", T + "tuning"), BEAM),
    T + "experiments": (EXPERIMENTS, BEAM),
    T + "commands": ((*EXPERIMENTS, B + "report"), BEAM),
    T + "task": ((T + "commands",), HEAVY),
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def is_within(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(place + ".") for place in places)


@functools.cache
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
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else str(node.module))
    return found


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def faults_of(room: str, module: str) -> list[str]:
    allowed, forbidden = RULES[room]
    faults = []
    for name in sorted(imports_of(MODULES[module])):
        if name.split(".")[0] in PACKAGES:
            if not is_within(name, (room, *allowed)):
                faults.append(f"{module} imports {name}")
        elif is_within(name, forbidden):
            faults.append(f"{module} imports {name}")
    return faults


def reachable(module: str) -> dict[str, str]:
    """Every module that `module` reaches through this project's imports, with the module of ours that imports it."""
    reached: dict[str, str] = {}
    queue, visited = [module], {module}
    while queue:
        current = queue.pop()
        for name in imports_of(MODULES[current]):
            reached.setdefault(name, current)
            if name in MODULES and name not in visited:
                visited.add(name)
                queue.append(name)
    return reached


@pytest.mark.parametrize(
    ("places", "forbidden"),
    [
        ((B + "media", B + "films", B + "labels", B + "contracts.curves.smoothing"), HEAVY),
        ((B + "foundation", B + "contracts", B + "extractors", B + "extraction", B + "importing", B + "scoring"), BEAM),
        (("trainer",), ("apache_beam",)),
    ],
)
def test_what_is_pure_stays_pure_through_all_that_it_imports(places: tuple[str, ...], forbidden: tuple[str, ...]):
    modules = [module for module in MODULES if is_within(module, places)]
    assert modules
    faults = {
        f"{module} reaches {name} through {through}"
        for module in modules
        for name, through in reachable(module).items()
        if is_within(name, forbidden)
    }
    assert not faults, "\n".join(sorted(faults))


@pytest.mark.parametrize("room", RULES)
def test_a_room_imports_what_its_rule_allows(room: str):
    modules = [module for module in MODULES if is_within(module, (room,))]
    assert modules, f"{room}: no such room"
    faults = [fault for module in modules for fault in faults_of(room, module)]
    assert not faults, "\n".join(faults)


def test_every_module_lies_in_a_room_with_a_rule():
    loose = {package: {m for m in MODULES if m.count(".") <= 1 and m.split(".")[0] == package} for package in PACKAGES}
    for package, modules in loose.items():
        files = {MODULES[m].stem for m in modules if MODULES[m].parent == ROOT / package}
        assert files == LOOSE[package]
    assert not [m for m in MODULES if m not in PACKAGES and not is_within(m, tuple(RULES))]


def test_a_room_has_a_line_that_says_what_belongs_there_and_no_more_modules_than_one_can_look_over():
    for package in PACKAGES:
        for folder in [ROOT / package, *sorted((ROOT / package).rglob("*"))]:
            modules = sorted(folder.glob("*.py")) if folder.is_dir() else []
            if not modules:
                continue
            assert folder / "__init__.py" in modules, folder
            assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))), folder
            assert len(modules) - 1 <= LARGEST_ROOM, f"{folder}: {len(modules) - 1} modules"


def test_networks_but_the_face_detector_are_backend_neutral():
    for module in (m for m in MODULES if is_within(m, (B + "extractors",))):
        if module.endswith((".mtcnn.on_tensorflow", ".checkpoints")):
            continue  # MTCNN in Keras is TensorFlow's; VGGish's published checkpoint is read by TensorFlow's reader
        assert not is_within("tensorflow", tuple(imports_of(MODULES[module]))), module


@pytest.mark.parametrize("module", ["beam_pipelines", "beam_pipelines.contracts.records.records", "trainer"])
def test_importing_the_foundation_loads_neither_beam_nor_tensorflow(module):
    code = f"import sys, {module}; print(sorted({{'apache_beam', 'tensorflow', 'keras'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_file_is_named_after_nothing():
    assert not [m for m in MODULES if m.rsplit(".", 1)[-1] in ("utils", "helpers", "common", "misc")]
