"""ONNX files that aren't run at all: what they name, hold or leave out is refused when they are read."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.onnx_networks.model_file import read_model_file
from beam_pipelines.extractors.onnx_networks.network import OnnxNetwork
from beam_pipelines.foundation.errors import ConfigurationError
from tests.support.onnx_files import node, pictures_network, write_onnx

SIZE_PX = 12


def section_of(path: Path, **keys: Any) -> Any:
    return ExtractConfig.model_validate({"networks": {"mine": {"file": str(path), **keys}}}).networks["mine"]


def picture_section(path: Path) -> Any:
    return section_of(path, takes="picture", size_px=SIZE_PX, output="embeds")


def test_custom_operators_and_files_outside_the_folder_are_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    path = pictures_network(
        inside / "net.onnx", SIZE_PX, save_as_external_data=True, location="arrays.bin", size_threshold=64
    )
    (inside / "arrays.bin").rename(tmp_path / "arrays.bin")
    with pytest.raises(ConfigurationError, match=r"'arrays\.bin', which holds its array 'kernel', isn't beside it"):
        OnnxNetwork("mine", picture_section(path))
    (inside / "arrays.bin").symlink_to(tmp_path / "arrays.bin")
    outside = r"lies in '.*arrays.bin', outside the file's folder: not opened"
    with pytest.raises(ConfigurationError, match=outside):
        OnnxNetwork("mine", picture_section(path))
    model = onnx.load(path, load_external_data=False)
    for array in model.graph.initializer:
        for entry in array.external_data:
            if entry.key == "location":
                entry.value = "../arrays.bin"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ConfigurationError, match=outside):
        OnnxNetwork("mine", picture_section(path))
    foreign = helper.make_node("Read", ["pixels"], ["embeds"], domain="evil")
    axes: list[int | str] = ["n", 3, SIZE_PX, SIZE_PX]
    custom = write_onnx(tmp_path / "custom.onnx", [foreign], {"pixels": axes}, {"embeds": axes}, {})
    with pytest.raises(ConfigurationError, match=r"operators evil\.Read aren't ONNX Runtime's own"):
        OnnxNetwork("mine", picture_section(custom))


def changed(path: Path, change: Callable[[Any], None]) -> Path:
    model = onnx.load(path, load_external_data=False)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def external(*names: str) -> Any:
    array = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    for name in names:
        array.external_data.add(key="location", value=name)
    return array


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("arrays.bin", "../secret.bin"), "lies in 'arrays.bin', '../secret.bin': not in one file"),
        (("a\0b",), "embedded null byte"),
        (("a" * 300,), "File name too long"),
        ((), "not in one file"),
        (("*/_ORT_MEM_ADDR_/*",), "an address in memory"),
        (("*/_ORT_NATIVE_ENDIAN_MEM_ADDR_/*",), "an address in memory"),
    ],
)
def test_an_array_lies_in_one_file_with_a_name_that_can_be(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    (tmp_path / "arrays.bin").write_bytes(bytes(4))
    for mark in ("_ORT_MEM_ADDR_", "_ORT_NATIVE_ENDIAN_MEM_ADDR_"):
        (tmp_path / "*" / mark).mkdir(parents=True)
        (tmp_path / "*" / mark / "*").write_bytes(bytes(4))
    path = changed(
        pictures_network(tmp_path / "net.onnx", SIZE_PX), lambda model: model.graph.initializer.append(external(*names))
    )
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        read_model_file(path)


def test_arrays_and_operators_in_defaults_of_functions_and_in_branches_are_seen(tmp_path: Path) -> None:
    def with_function(attribute: Any) -> Path:
        function = helper.make_function("own", "F", ["x"], ["y"], [node("Relu", "x", "y")], [])
        function.attribute_proto.append(attribute)
        path = pictures_network(tmp_path / "net.onnx", SIZE_PX)
        return changed(path, lambda model: model.functions.append(function))

    with pytest.raises(ConfigurationError, match=r"'\.\./secret\.bin', outside the file's folder"):
        read_model_file(with_function(helper.make_attribute("k", external("../secret.bin"))))
    foreign = helper.make_graph([helper.make_node("Read", [], ["z"], domain="evil")], "branch", [], [])
    with pytest.raises(ConfigurationError, match=r"operators evil\.Read"):
        read_model_file(with_function(helper.make_attribute("k", foreign)))
    (tmp_path / "arrays.bin").write_bytes(bytes(4))
    found = read_model_file(with_function(helper.make_attribute("k", external("arrays.bin")))).external
    assert found == {"arrays.bin": hashlib.sha256(bytes(4)).hexdigest()}


def test_files_that_no_film_can_feed_are_refused_with_a_sentence(tmp_path: Path) -> None:
    path = pictures_network(tmp_path / "net.onnx", SIZE_PX)
    with pytest.raises(ConfigurationError, match="takes nothing, or gives nothing"):
        read_model_file(changed(path, lambda model: model.graph.ClearField("input")))
    pictures_network(path, SIZE_PX)

    def of_no_type(model: Any) -> None:
        model.graph.input[0].type.tensor_type.elem_type = 99

    with pytest.raises(ConfigurationError, match="the input pixels has the type no tensor"):
        OnnxNetwork("mine", picture_section(changed(path, of_no_type)))

    def coloured(model: Any) -> None:
        model.graph.output[0].name = "a\x1b[31m"

    with pytest.raises(ConfigurationError, match="names have control characters"):
        read_model_file(changed(path, coloured))


def test_a_network_that_does_not_run_with_its_input_shows_what_it_has(tmp_path: Path) -> None:
    nodes = [node("Reshape", "wave shape", "rows")]
    path = write_onnx(
        tmp_path / "net.onnx", nodes, {"wave": ["n", "t"]}, {"rows": ["n", "d"]}, {"shape": np.array([7, -1])}
    )
    section = section_of(path, takes="sound", rate_hz=1000, window_s=0.1)
    with pytest.raises(
        ConfigurationError, match=r"(?s)mine: the network doesn't run with.*input   wave  float32 \[n, t\]"
    ):
        OnnxNetwork("mine", section)(np.zeros((1, 100), np.float32))


def test_a_file_of_the_same_size_and_time_in_its_place_is_another_one(tmp_path: Path) -> None:
    path, other = pictures_network(tmp_path / "net.onnx", SIZE_PX), tmp_path / "other.onnx"
    model = onnx.load(path)
    model.graph.initializer[0].raw_data = bytes(len(model.graph.initializer[0].raw_data))
    other.write_bytes(model.SerializeToString())
    was = path.stat()
    assert read_model_file(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    os.utime(other, ns=(was.st_atime_ns, was.st_mtime_ns))
    os.replace(other, path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (was.st_size, was.st_mtime_ns)
    assert read_model_file(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
