"""What `cineaffect networks show` prints of a file: its own data, and a section of a configuration guessed from it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import yaml

from beam_pipelines.extractors.networks import log_mel
from beam_pipelines.extractors.onnx_networks.model_file import ModelFile, Tensor
from beam_pipelines.extractors.onnx_networks.preparation import KINDS, MASK, TOKENS

_MEAN_DEVIATION = "mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225]"
"""ImageNet's, in torchvision."""


def described(file: ModelFile) -> Iterator[str]:
    """A file's inputs, outputs, operators and the files beside it, as lines."""
    yield f"file      {file.path}"
    yield f"sha256    {file.sha256}"
    for name, digest in file.external.items():
        yield f"beside it {name}  sha256 {digest}"
    for tensor in file.inputs:
        yield f"input     {tensor}"
    for tensor in file.outputs:
        yield f"output    {tensor}"
    counted = (f"{name} {count}" if count > 1 else name for name, count in file.operators.items())
    yield f"operators {', '.join(counted)}"


def suggested_section(name: str, path: str, file: ModelFile) -> Iterator[str]:
    """The sections `extract` and `train` of such a network, as YAML. What the file doesn't say has a question mark."""
    boxes, scores = _boxes_and_scores(file)
    if boxes:
        yield from _detector_section(path, file, boxes, scores)
        return
    yield "extract:"
    yield f"  modalities: [{name}]    # and others, for example [image, audio, face, {name}]"
    yield "  networks:"
    yield f"    {name}:"
    fed = next((each for each in file.inputs if each.type in TOKENS and each.name not in (MASK, KINDS)), file.inputs[0])
    for line in _input_keys(fed):
        yield f"      {line}"
    yield f"      file: {_text(path)}"
    yield f"      sha256: {file.sha256}"
    if file.external:
        hashes = ", ".join(f"{_text(other)}: {digest}" for other, digest in file.external.items())
        yield f"      external_sha256: {{{hashes}}}"
    if len(file.inputs) > 1 and fed.type not in TOKENS:
        needed = ", ".join(_text(each.name) for each in file.inputs)
        yield f"      input: {_text(fed.name)}    # but it needs all of {needed}: export the part that needs one"
    output = _vector_output(file)
    if len(file.outputs) > 1:
        yield f"      output: {_text(output.name)}"
    if len([axis for axis in output.axes[1:] if axis != 1]) > 1:
        yield "      pool: mean    # or first (a class token), last, max; none without this line"
        if len(output.axes) == 4:
            yield "      vector_axis: 1    # of [n, D, height, width]; -1, the default, of [n, height, width, D]"
    yield "train:"
    yield f"  model: {{modalities: [{name}]}}    # what the model takes; others beside it as above"


def _text(text: str) -> str:
    """A text as YAML has it within a line: in quotes if it would be a number (PyTorch numbers its outputs), or more."""
    return str(yaml.safe_dump([text], default_flow_style=True, width=math.inf, allow_unicode=True)[1:-2])


def _vector_output(file: ModelFile) -> Tensor:
    """The first output that is one vector, else the first."""
    return next((each for each in file.outputs if len(each.axes) == 2), file.outputs[0])


def _input_keys(tensor: Tensor) -> Iterator[str]:
    """The keys that say what the network takes, by the axes of its input."""
    axes = tensor.axes
    if tensor.type in TOKENS:
        yield "takes: text"
        yield "tokenizer: tokenizer.json    # ? the file beside it"
        yield f"max_tokens: {axes[-1] if isinstance(axes[-1], int) else '128    # ? longer texts are cut'}"
        yield "normalise: false    # true if it was trained for similarity"
    elif len(axes) == 4 and (3 in (axes[1], axes[3]) or not any(isinstance(axis, int) for axis in axes[1:])):
        yield from _picture_keys(tensor)
    elif len(axes) in (3, 4) and log_mel.FRAMES in axes:
        bands = next((each for each in axes[1:] if each not in (1, log_mel.FRAMES)), log_mel.BANDS)
        yield "takes: log_mel"
        yield f"bands: {bands}"
        if len(axes) == 4:
            yield f"layout: {'nchw' if axes[1] == 1 else 'nhwc'}"
    elif len(axes) == 2 or (len(axes) == 3 and axes[1] == 1):
        yield "takes: sound"
        yield "rate_hz: 16000    # ? the rate it was trained with"
        samples = axes[-1]
        yield (
            f"window_s: {samples / 16000:g}" if isinstance(samples, int) else "window_s: 2.0    # ? around each second"
        )
    else:
        yield "takes: unknown    # picture, face, sound, log_mel or text"


def _boxes_and_scores(file: ModelFile) -> tuple[list[Tensor], list[Tensor]]:
    """The outputs of a face detector: boxes [n, N, 4], and those that have a score or two for each; else none."""
    boxes = [each for each in file.outputs if len(each.axes) == 3 and each.axes[2] == 4]
    places = {each.axes[1] for each in boxes}
    scores = [
        each for each in file.outputs if len(each.axes) == 3 and each.axes[1] in places and each.axes[2] in (1, 2)
    ]
    return (boxes, scores) if boxes and len(scores) in (len(boxes), 2 * len(boxes)) else ([], [])


def _detector_section(path: str, file: ModelFile, boxes: list[Tensor], scores: list[Tensor]) -> Iterator[str]:
    yield "extract:"
    yield "  face:"
    yield "    detector:    # it finds faces in MTCNN's place; a network that is none has boxes of its own"
    yield f"      file: {_text(path)}"
    yield f"      sha256: {file.sha256}"
    for line in _picture_keys(file.inputs[0]):
        if line.startswith("resize"):
            line = "resize: pad    # or stretch, if it was trained so"
        if not line.startswith("takes"):
            yield f"      {line}"
    several = len(boxes) > 1
    named = {"boxes": boxes, "scores": scores[: len(boxes)], "objectness": scores[len(boxes) :]}
    for key, outputs in named.items():
        if outputs:
            names = ", ".join(_text(each.name) for each in outputs)
            yield f"      {key}: {f'[{names}]' if several else names}"
    if several:
        yield "      coding: cells"
        yield f"      strides_px: {[8 << number for number in range(len(boxes))]}    # ? the sides of the cells of each"
    else:
        yield "      coding: corners_in_shares    # ? or corners_in_pixels"
    yield "      least_score: 0.7"


def _picture_keys(tensor: Tensor) -> Iterator[str]:
    layout = "nhwc" if tensor.axes[3] == 3 and tensor.axes[1] != 3 else "nchw"
    height, width = tensor.axes[2:] if layout == "nchw" else tensor.axes[1:3]
    is_square = height == width or not isinstance(height, int)
    size = height if isinstance(height, int) else "224    # ?"
    yield "takes: picture    # or face: the two largest, cut out"
    yield f"size_px: {size if is_square else f'[{height}, {width}]'}"
    yield "resize: shorter_side_then_crop    # as most are trained; or pad, or stretch, which it is without this line"
    yield "channels: rgb    # or bgr, as it was trained"
    yield f"layout: {layout}"
    if tensor.type != "uint8":
        yield "scaling: [0, 1]    # or [-1, 1], [0, 255], as it was trained"
        yield f"# {_MEAN_DEVIATION}    # ImageNet's, if it was trained with them"
