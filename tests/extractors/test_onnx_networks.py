"""What is refused of a network by configuration before a job starts, and what its vectors don't depend on."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import TensorProto

from beam_pipelines.commands import networks as networks_command
from beam_pipelines.extractors import registry
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import Networks, core_seconds, describe_tracks, pin_networks
from beam_pipelines.extractors.network_inputs import PictureInput, SoundInput
from beam_pipelines.extractors.onnx_networks import first_batch as first_batch_module
from beam_pipelines.extractors.onnx_networks.first_batch import FirstBatch, first_batch
from beam_pipelines.extractors.onnx_networks.network import OnnxNetwork
from beam_pipelines.extractors.sound_context import centred_windows
from beam_pipelines.extractors.weights.needed_weights import require_weights
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.foundation.errors import ConfigurationError, WeightsError
from beam_pipelines.media.audio.audio_windows import AudioWindow
from tests.support.onnx_files import (
    node,
    patches_network,
    pictures_network,
    quantised_network,
    sounds_network,
    write_onnx,
)

SIZE_PX = 12


@pytest.fixture(scope="module")
def vision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures_network(tmp_path_factory.mktemp("networks") / "vision.onnx", SIZE_PX)


def section_of(path: Path | str, **keys: Any) -> Any:
    values = {"takes": "picture", "file": str(path), "size_px": SIZE_PX, "output": "embeds", **keys}
    values = {key: value for key, value in values.items() if value is not ...}
    return ExtractConfig.model_validate({"networks": {"mine": values}}).networks["mine"]


INPUT = "input   pixels  float32 [batch, 3, 12, 12]"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"output": "embed"}, ["mine.output: there is no 'embed'; did you mean 'embeds'?", INPUT]),
        ({"output": ...}, ["mine.output: name one of embeds, tokens", INPUT, "output  tokens  float32 [batch, 9, 4]"]),
        ({"input": "pixel"}, ["mine.input: there is no 'pixel'; did you mean 'pixels'?", INPUT]),
        ({"size_px": 16}, ["makes an input of [n, 3, 16, 16]", INPUT]),
        ({"layout": "nhwc"}, ["makes an input of [n, 12, 12, 3]", INPUT]),
        ({"output": "tokens"}, ["several vectors: say with `pool`", INPUT]),
        ({"output": "tokens", "pool": "mean", "vector_axis": 3}, ["vector_axis: 3 is no axis"]),
        ({"sha256": "0" * 64}, ["mine.sha256: ", "has the sha256 ", f", not {'0' * 64}"]),
        ({"external_sha256": {"a.bin": "0" * 64}}, ["external_sha256.a.bin", "no such file"]),
        ({"file": "absent.onnx"}, ["mine.file: there is no file", "absent.onnx"]),
        ({"file": __file__}, ["not readable as an ONNX file"]),
    ],
)
def test_what_does_not_fit_is_refused_with_the_networks_own_inputs_and_outputs(
    vision: Path, keys: dict[str, Any], said: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        OnnxNetwork("mine", section_of(vision, **keys))(np.zeros((1, SIZE_PX, SIZE_PX, 3), np.uint8))
    assert all(part in str(caught.value) for part in said), caught.value


def test_a_static_batch_an_input_in_bytes_and_a_second_input(tmp_path: Path) -> None:
    static = pictures_network(tmp_path / "static.onnx", SIZE_PX, batch=3)
    assert OnnxNetwork("mine", section_of(static)).batch_size == 3
    with pytest.raises(ConfigurationError, match=r"mine.batch_size: 4; the network takes batches of 3 only"):
        OnnxNetwork("mine", section_of(static, batch_size=4))
    axes: list[int | str] = ["n", 3, SIZE_PX, SIZE_PX]
    pixels = write_onnx(
        tmp_path / "bytes.onnx",
        [node("Cast", "x", "y", to=TensorProto.FLOAT), node("GlobalMaxPool", "y", "embeds")],
        {"x": axes},
        {"embeds": ["n", 3, 1, 1]},
        {},
        "uint8",
    )
    found = OnnxNetwork("mine", section_of(pixels))(np.full((1, SIZE_PX, SIZE_PX, 3), [1, 2, 255], np.uint8))
    np.testing.assert_array_equal(found, [[1, 2, 255]])
    with pytest.raises(ConfigurationError, match="takes bytes: scaling, mean and deviation don't apply"):
        OnnxNetwork("mine", section_of(pixels, mean=[0.5, 0.5, 0.5]))
    two = write_onnx(
        tmp_path / "two.onnx", [node("Add", "x mask", "embeds")], {"x": axes, "mask": axes}, {"embeds": axes}, {}
    )
    with pytest.raises(ConfigurationError, match="the network needs mask too"):
        OnnxNetwork("mine", section_of(two, input="x"))


def test_the_first_batch_that_needs_too_much_memory_costs_a_sentence(tmp_path: Path) -> None:
    axes: list[int | str] = ["n", 3, SIZE_PX, SIZE_PX]
    shape = np.array([1, 1, 1, 1 << 30])
    arrays = {"shape": shape, "axes": np.array([1, 2, 3])}
    nodes = [
        node("Slice", "pixels a b c", "one"),
        node("Expand", "one shape", "wide"),
        node("ReduceMean", "wide axes", "embeds"),
    ]
    arrays |= {"a": np.zeros(3, np.int64), "b": np.ones(3, np.int64), "c": np.array([1, 2, 3])}
    greedy = write_onnx(tmp_path / "greedy.onnx", nodes, {"pixels": axes}, {"embeds": ["n", 1, 1, 1]}, arrays)
    with pytest.raises(ConfigurationError, match=r"extract.networks.mine: .*(alloc|memory)"):
        first_batch("mine", section_of(greedy, batch_size=4), 1024)


def test_a_vector_depends_on_nothing_but_its_row(vision: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (7, SIZE_PX, SIZE_PX, 3), np.uint8)
    network = OnnxNetwork("mine", section_of(vision, batch_size=4))
    whole = network(rows)
    assert whole.shape == (7, 5) == (7, network.dimensions)
    assert whole.dtype == np.float32
    for number, row in enumerate(rows):
        assert network(row[None])[0].tobytes() == whole[number].tobytes()
    assert network(rows[:0]).shape == (0, 5)
    axes: list[int | str] = ["n", 3, SIZE_PX, SIZE_PX]
    nodes = [node("Log", "x", "logs"), node("GlobalAveragePool", "logs", "embeds")]
    infinite = write_onnx(vision.parent / "infinite.onnx", nodes, {"x": axes}, {"embeds": ["n", 3, 1, 1]}, {})
    with pytest.raises(ConfigurationError, match="not finite"):
        OnnxNetwork("mine", section_of(infinite))(np.zeros_like(rows))


def quantises_while_it_runs(path: Path, batch: int | str) -> Path:
    weights = np.random.default_rng(6).integers(-100, 100, (100, 6)).astype(np.int8)
    nodes = [
        node("DynamicQuantizeLinear", "wave", "bytes scale zero"),
        node("MatMulInteger", "bytes weights zero", "sums"),
        node("Cast", "sums", "numbers", to=TensorProto.FLOAT),
        node("Mul", "numbers scale", "vectors"),
    ]
    return write_onnx(path, nodes, {"wave": [batch, 100]}, {"vectors": [batch, 6]}, {"weights": weights})


def test_a_network_that_is_quantised_while_it_runs_gets_single_rows(tmp_path: Path) -> None:
    keys = {"takes": "sound", "rate_hz": 1000, "window_s": 0.1, "size_px": ..., "output": ...}
    network = OnnxNetwork("mine", section_of(quantises_while_it_runs(tmp_path / "any.onnx", "n"), **keys))
    rows = np.random.default_rng(7).normal(0, 0.05, (4, 100)).astype(np.float32)
    louder = rows * np.array([[1], [20], [20], [20]], np.float32)
    np.testing.assert_array_equal(network(louder)[0], network(rows)[0])
    with pytest.raises(ConfigurationError, match=r"(?s)batches of 4 and rounds by the largest value.*\[4, 100\]"):
        OnnxNetwork("mine", section_of(quantises_while_it_runs(tmp_path / "four.onnx", 4), **keys))


def test_the_first_batch_shows_mixed_rows_and_a_length_that_the_file_does_not_have(tmp_path: Path) -> None:
    nodes = [node("ReduceMean", "wave zero", "mean", keepdims=1), node("Sub", "wave mean", "vectors")]
    arrays = {"zero": np.array([0])}
    path = write_onnx(tmp_path / "mixes.onnx", nodes, {"wave": ["n", 100]}, {"vectors": ["n", 100]}, arrays)
    keys = {"takes": "sound", "rate_hz": 1000, "window_s": 0.1, "size_px": ..., "output": ...}
    section = section_of(path, **keys)
    # Not in the child process, whose start takes a second.
    answer = first_batch_module._answer("mine", section)
    assert answer["error"].startswith(
        "extract.networks.mine: it mixes the rows of a batch: a row's vector changes by 0"
    )
    nodes, arrays = [node("Reshape", "wave shape", "vectors")], {"shape": np.array([-1, 100])}
    path = write_onnx(tmp_path / "wrong.onnx", nodes, {"wave": ["n", 100]}, {"vectors": ["n", 7]}, arrays)
    answer = first_batch_module._answer("mine", section_of(path, **keys))
    assert answer["error"].startswith(
        "extract.networks.mine: its vectors have 100 values, not the 7 that the file says"
    )
    sounds = section_of(sounds_network(tmp_path / "sounds.onnx", 100, 25), pool="mean", **keys)
    assert first_batch_module._answer("mine", sounds)["dimensions"] == 3


def test_fingerprints_name_what_changes_a_vector_and_nothing_else(
    vision: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A child process for each would take a second; test_onnx_goldens.py has real ones.
    monkeypatch.setattr(first_batch_module, "first_batch", lambda *_: FirstBatch(5, 0.1))

    def description(**keys: Any) -> dict[str, Any]:
        config = ExtractConfig.model_validate(
            {"modalities": ["mine"], "networks": {"mine": section_of(vision).model_dump() | keys}}
        )
        assert pin_networks(config).networks["mine"].sha256 == describe_tracks(config)["mine"]["weights"]
        return describe_tracks(config)["mine"]

    plain = description()
    assert plain["dimensions"] == 5
    assert description(batch_size=2, pool="none") == plain
    for change in ({"channels": "bgr"}, {"mean": [0.5, 0.5, 0.5]}, {"resize": "pad"}, {"output": "tokens"}):
        assert description(**change) != plain
    # Names that the file leaves no choice about change nothing.
    assert description(input="pixels") == plain
    one = write_onnx(vision.parent / "one.onnx", [node("Relu", "a", "b")], {"a": ["n"]}, {"b": ["n"]}, {})
    assert description(file=str(one), output=None) == description(file=str(one), output="b")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"vector_axis": 1}, "vector_axis: it is the axis that `pool` keeps"),
        ({"shorter_side_px": 14}, "shorter_side_px: it belongs to `resize: shorter_side_then_crop`, not to `stretch`"),
        (
            {"takes": "log_mel", "size_px": ..., "lowest_hz": 4000, "highest_hz": 125},
            "lowest_hz: 4000 isn't below highest_hz: 125",
        ),
    ],
)
def test_keys_that_would_change_nothing_or_leave_nothing_are_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        section_of("a.onnx", **keys)


def test_modalities_are_those_that_are_known_and_errors_name_the_nearest() -> None:
    network = "networks={clip: {takes: picture, file: clip.onnx, size_px: 224}}"
    wrong = "networks={clip: {takes: picture, file: clip.onnx, size_px: 224, chanels: bgr}}"

    def load(*overrides: str) -> ExtractConfig:
        return load_section("extract", ExtractConfig, None, overrides)

    assert load(network, "modalities=[image, clip]").modalities == ("image", "clip")
    for overrides, said in (
        ((network, "modalities=[clp]"), "there is no 'clp'; did you mean 'clip'?"),
        (("modalities=[imag]",), "there is no 'imag'; did you mean 'image'?"),
        (("networks={clip: {file: a.onnx}}",), "'takes' must be one of picture, face, sound, log_mel, text"),
        ((wrong,), "extract.networks.clip.chanels: unknown key; did you mean 'channels'?"),
        (("networks={audio: {takes: picture, file: a, size_px: 2}}",), "the name 'audio' must be"),
        (("networks={other: {weights: a}}",), "is no registered network"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            load(*overrides)
        assert said in str(caught.value)


def test_show_prints_a_section_that_fits_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures_network(Path("vision-24.onnx"), save_as_external_data=True, location="arrays.bin", size_threshold=64)
    quantised_network(Path("bytes.onnx"), 12)
    sounds_network(Path("sound.onnx"), 32_000, 8_000)
    patches_network(Path("patches.onnx"), 32)
    symbolic: list[int | str] = ["batch", "channels", "height", "width"]
    mean = [node("GlobalAveragePool", "pixel_values", "mean")]
    write_onnx(Path("any_size.onnx"), mean, {"pixel_values": symbolic}, {"mean": ["batch", "channels", 1, 1]}, {})
    takes = {"any_size": "picture", "vision_24": "picture", "bytes": "picture", "sound": "sound", "patches": "log_mel"}
    for file, (name, kind) in zip(("any_size", "vision-24", "bytes", "sound", "patches"), takes.items(), strict=True):
        assert networks_command.main(["show", f"{file}.onnx"]) == 0
        shown, _, section = capsys.readouterr().out.partition("a section to paste:")
        sections = yaml.safe_load(section)
        config = ExtractConfig.model_validate(sections["extract"])
        assert config.modalities == (name,)
        assert sections["train"] == {"model": {"modalities": [name]}}
        assert config.networks[name].takes == kind
        network = OnnxNetwork(name, config.networks[name])
        for part in (network.file.sha256, *network.file.external.values(), *map(str, network.file.inputs)):
            assert part in shown
        assert pin_networks(config) == config
    # PyTorch's older exports number their outputs.
    nodes = [node("GlobalMaxPool", "1", "397"), node("Relu", "397", "no")]
    outputs: dict[str, list[int | str]] = {"397": ["n", 3, 1, 1], "no": ["n", 3, 1, 1]}
    write_onnx(Path("a, b #1.onnx"), nodes, {"1": ["n", 3, 12, 12]}, outputs, {})
    section = run_show("a, b #1.onnx", capsys).partition("a section to paste:")[2]
    numbered = ExtractConfig.model_validate(yaml.safe_load(section)["extract"]).networks["a_b_1"]
    assert (numbered.file, numbered.output) == ("a, b #1.onnx", "397")
    assert "operators Cast, DequantizeLinear, Flatten, MatMul" in run_show("bytes.onnx", capsys)
    assert networks_command.main(["show", "absent.onnx"]) == 2


def run_show(file: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert networks_command.main(["show", file]) == 0
    return capsys.readouterr().out


THEIR_MODULE = """
from beam_pipelines.extractors.networks.inception_v3 import InceptionV3Image
from beam_pipelines.extractors.weights.weights_table import Weights

class Theirs(InceptionV3Image):
    modality = "theirs"
    published = "their_weights"
    table = {"their_weights": Weights("their_weights", "mine.h5", None, "CC0", "nothing", "theirs", sha256="0" * 64)}
    core_s = 0.5
"""


def test_an_entry_point_adds_a_network_in_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_module.py").write_text(THEIR_MODULE)
    named = {"theirs": "their_module:Theirs", "wrong": "their_module:Theirs", "absent": "their_module:Other"}
    points = [metadata.EntryPoint(name, value, registry.ENTRY_POINTS) for name, value in named.items()]
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == registry.ENTRY_POINTS else [])
    registry._others.cache_clear()
    try:
        sections = {name: {"weights": "untrained"} for name in named}
        config = ExtractConfig.model_validate({"modalities": ["theirs"], "networks": sections})
        described = describe_tracks(config)["theirs"]
        assert (described["network"], described["weights"]) == ("inception_v3_avg_pool", "untrained-seed-0")
        assert Networks(config).takes("theirs") == PictureInput(299, 299)
        assert core_seconds(config, "theirs") == 0.5
        with pytest.raises(WeightsError, match=r"theirs: their_weights\n    file:    mine\.h5"):
            require_weights(ExtractConfig(modalities=("theirs",)))
        for name, said in (("wrong", "must be a PublishedNetwork of that modality"), ("absent", "can't be imported")):
            with pytest.raises(ConfigurationError, match=said):
                describe_tracks(config.model_copy(update={"modalities": (name,)}))
        points[1:] = []
        registry._others.cache_clear()
        assert registry.all_weights()["their_weights"].file_name == "mine.h5"
        points.append(metadata.EntryPoint("image", "their_module:Theirs", registry.ENTRY_POINTS))
        registry._others.cache_clear()
        with pytest.raises(ConfigurationError, match="takes a name that another network has"):
            ExtractConfig(modalities=("theirs",))
    finally:
        registry._others.cache_clear()


def test_windows_that_are_no_whole_seconds_lie_around_the_middle_of_their_second() -> None:
    rate_hz, seconds = 10, range(4)
    sound = np.arange(40, dtype=np.float32)
    pieces = [AudioWindow(t, sound[t * rate_hz :][:rate_hz], True) for t in seconds]
    padded = np.concatenate([np.zeros(20, np.float32), sound, np.zeros(20, np.float32)])
    for samples in (4, 10, 15, 25, 31):
        takes = SoundInput(rate_hz, samples, is_centred=True)
        for window in centred_windows(pieces, seconds, takes):
            first = 20 + 10 * window.t + (rate_hz - samples) // 2
            np.testing.assert_array_equal(window.samples, padded[first : first + samples])


def test_a_process_with_onnx_networks_alone_imports_no_tensorflow(vision: Path) -> None:
    code = """if True:
        import sys
        import numpy as np
        from beam_pipelines.extraction.one_film import extract_film
        from beam_pipelines.extractors.config import ExtractConfig
        from beam_pipelines.extractors.configured_networks import Networks, describe_tracks
        network = {"takes": "picture", "file": sys.argv[1], "size_px": 12, "output": "embeds"}
        config = ExtractConfig.model_validate({"modalities": ["mine"], "networks": {"mine": network}})
        rows = Networks(config).rows("mine")
        rows.add(np.zeros((12, 12, 3), np.uint8))
        print(rows.vectors().shape, sorted({"tensorflow", "keras", "apache_beam"} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", code, str(vision)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(1, 5) []"
