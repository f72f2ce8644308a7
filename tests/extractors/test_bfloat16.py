"""Built-in networks in bfloat16 by OpenVINO: nearly the same vectors, the same bytes each time, or a refusal."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_pipelines import extract
from beam_pipelines.contracts.records.feature_track import fingerprint
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import Networks
from beam_pipelines.extractors.graphs.bfloat16 import require_bfloat16, require_precisions
from beam_pipelines.extractors.networks.inception_resnet_v1 import InceptionResnetV1Face
from beam_pipelines.foundation.errors import ConfigurationError
from tests.extractors.test_engines import as_graph, of_all_layers, random_weights

UNTRAINED = {"weights": "untrained", "batch_size": 4}
PRECISIONS: tuple[Any, ...] = ("float32", "bfloat16", "mixed_bfloat16")


@pytest.fixture
def can_compute() -> None:
    pytest.importorskip("openvino", reason="OpenVINO is an extra")
    try:
        require_bfloat16("face")
    except ConfigurationError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("can_compute")
def test_a_graph_gives_nearly_the_same_vectors_and_always_the_same_bytes(tmp_path: Path) -> None:
    network = of_all_layers()
    full, first, second = (as_graph(network, tmp_path) for _ in range(3))
    for each in (full, first, second):
        random_weights(each)
    full.start(threads=1, gpu=False)
    for each in (first, second):
        each.start_in_bfloat16(threads=1, batch_size=4)
    rows, others = np.random.default_rng(5).normal(size=(2, 4, *network.input_shape[1:])).astype(np.float32)
    expected, vectors = full.predict_on_batch(rows), first.predict_on_batch(rows)
    kept = vectors.copy()
    assert vectors.dtype == np.float32
    assert 1e-5 < np.sqrt(np.mean((vectors - expected) ** 2) / np.mean(expected**2)) < 0.02
    assert not np.array_equal(first.predict_on_batch(others), kept)
    np.testing.assert_array_equal(vectors, kept, "a later batch must leave these vectors alone")
    np.testing.assert_array_equal(second.predict_on_batch(rows), kept)


@pytest.mark.usefixtures("can_compute")
def test_a_configured_network_computes_by_openvino_on_no_core_of_its_own() -> None:
    settings = {"modalities": ["face"], "engine": "tensorflow", "face": {**UNTRAINED, "precision": "bfloat16"}}
    settings["threads_per_worker"] = 2
    code = f"""if True:
        import os, sys
        import numpy as np
        from beam_pipelines.extractors.config import ExtractConfig
        from beam_pipelines.extractors.configured_networks import Networks
        network = Networks(ExtractConfig.model_validate({settings!r}), gpu=False).network("face")
        vectors = network(np.random.default_rng(0).integers(0, 256, (5, 160, 160, 3), np.uint8))
        cores = {{len(os.sched_getaffinity(int(task))) for task in os.listdir("/proc/self/task")}}
        print(vectors.shape, np.linalg.norm(vectors, axis=1).round(3).tolist(), cores, "tensorflow" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"(5, 512) {[1.0] * 5} {{{len(os.sched_getaffinity(0))}}} False"


def test_the_fingerprint_is_its_own() -> None:
    described = {precision: InceptionResnetV1Face.describe("untrained", 0, precision) for precision in PRECISIONS}
    assert len({fingerprint(each) for each in described.values()}) == len(PRECISIONS)
    assert described["bfloat16"] == {**described["float32"], "precision": "bfloat16"}


def test_batches_are_those_of_a_processor_beside_a_gpu_too() -> None:
    sections = [{"weights": "untrained", "precision": precision} for precision in ("float32", "bfloat16")]
    configs = [ExtractConfig.model_validate({"face": section}) for section in sections]
    assert [Networks(config, gpu=True).batch_size("face") for config in configs] == [64, 4]


@pytest.fixture
def other_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that multiplies float32 only, whatever this one is, and OpenVINO, installed or not."""
    told = {"OPTIMIZATION_CAPABILITIES": ["FP32", "INT8"], "FULL_DEVICE_NAME": "An Old Processor"}
    core = types.SimpleNamespace(get_property=lambda device, name: told[name])
    monkeypatch.setitem(sys.modules, "openvino", types.SimpleNamespace(Core=lambda: core))


@pytest.mark.usefixtures("other_processor")
def test_a_processor_that_cannot_is_named_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.mp4").touch()
    given = ["--films", str(tmp_path / "films"), "--output", str(tmp_path / "out")]
    given += ["--set", "modalities=[face]", "--set", "face.weights=untrained", "--set", "face.precision=bfloat16"]
    assert extract.main(given) == 2
    said = capsys.readouterr().err
    assert "extract.face.precision: bfloat16" in said
    assert "An Old Processor" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("other_processor")
def test_a_worker_refuses_it_too() -> None:
    with pytest.raises(ConfigurationError, match="AVX-512 BF16 or AMX"):
        InceptionResnetV1Face("untrained", precision="bfloat16")


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cineaffect\[openvino\]'"):
        InceptionResnetV1Face("untrained", precision="bfloat16")


def test_a_network_without_a_graph_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InceptionResnetV1Face, "__module__", "__main__of_a_notebook")
    config = ExtractConfig.model_validate({"modalities": ["face"], "face": {"precision": "bfloat16"}})
    with pytest.raises(
        ConfigurationError, match=r"extract\.face\.precision: bfloat16 is for networks that have a graph"
    ):
        require_precisions(config)
