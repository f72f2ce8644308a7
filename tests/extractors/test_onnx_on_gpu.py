"""ONNX Runtime on a GPU that it can't use, as far as a machine without one shows it: it never computes elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from beam_pipelines.extractors import configured_networks
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import Networks
from beam_pipelines.extractors.onnx_networks import session
from beam_pipelines.extractors.onnx_networks.network import OnnxNetwork
from beam_pipelines.foundation.errors import ConfigurationError
from tests.support.onnx_files import pictures_network

SIZE_PX = 12


@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider':UserWarning")
def test_a_gpu_that_cannot_be_used_is_an_error_and_not_one_core(tmp_path: Path) -> None:
    path = pictures_network(tmp_path / "network.onnx", SIZE_PX)
    keys = {"takes": "picture", "file": str(path), "size_px": SIZE_PX, "output": "embeds"}
    section: Any = ExtractConfig.model_validate({"networks": {"mine": keys}}).networks["mine"]
    with pytest.raises(ConfigurationError, match=r"^ONNX Runtime can't start CUDA .*'onnxruntime-gpu\[cuda,cudnn\]'"):
        OnnxNetwork("mine", section, gpu=True)


def test_which_package_is_installed_decides_whether_a_gpu_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(session, "has_gpu_device", lambda: True)
    monkeypatch.setattr(session, "_is_installed", lambda package: package == "onnxruntime")
    assert not session.onnx_sees_gpu()
    monkeypatch.setattr(session, "_is_installed", lambda package: True)
    with pytest.raises(ConfigurationError, match="onnxruntime and onnxruntime-gpu are both installed"):
        session.onnx_sees_gpu()
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [session.CUDA, "CPUExecutionProvider"])
    assert session.onnx_sees_gpu()
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert not session.onnx_sees_gpu()


def test_the_face_detector_keeps_its_engine_on_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that only TensorFlow sees is no reason to detect faces by TensorFlow on the processors."""
    monkeypatch.setattr(configured_networks, "onnx_sees_gpu", lambda: False)
    monkeypatch.setattr(configured_networks, "FaceDetector", lambda *given: given[4:6])
    monkeypatch.setattr(Networks, "_start_tensorflow", lambda self: None)
    for on_gpu, expected in ((False, ("CPU:0", "onnxruntime")), (True, ("GPU:0", "tensorflow"))):
        networks = Networks(ExtractConfig.model_validate({"device": {"detect_on_gpu": on_gpu}}), gpu=True)
        assert networks.engine == "tensorflow"
        assert networks.detector == expected
