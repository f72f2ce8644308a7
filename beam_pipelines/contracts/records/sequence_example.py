"""`tf.train.SequenceExample` without TensorFlow: its messages, and a feature list as the array that it holds.

The messages have the field numbers and types of TensorFlow's `example.proto` and `feature.proto`, so the bytes are the
same. One thing differs: a feature list stays bytes until its values are needed. A serialised list whose steps are
equally long repeats the same few bytes of framing before each step's values, and floats have the same bytes as in
memory. Such a list is one two-dimensional array of bytes: reading and writing it is one copy, without a Python object
per value. Any other list is read and written step by step.

`tfx_bsl.coders.sequence_example_coder` isn't used: version 1.21 cuts the int64 values of feature lists to 32 bits, so
timestamps after 35 min 47 s come back wrong, and it is slower (see `benchmarks/records.md`).
"""

from __future__ import annotations

import io
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
from google.protobuf import descriptor_pool, message_factory, proto
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import DecodeError

_PACKAGE = "cineaffect"
_REPEATED, _MAP = "repeated ", "map "
_MESSAGES = {
    "BytesList": {"value": "repeated bytes"},
    "FloatList": {"value": "repeated float"},
    "Int64List": {"value": "repeated int64"},
    "Feature": {"bytes_list": "BytesList", "float_list": "FloatList", "int64_list": "Int64List"},
    "FeatureList": {"feature": "repeated Feature"},
    "Features": {"feature": "map Feature"},
    "FeatureLists": {
        "feature_list": "map bytes"
    },  # TensorFlow's is a map of FeatureList, which is the same on the wire
    "SequenceExample": {"context": "Features", "feature_lists": "FeatureLists"},
}
"""The fields of each message, numbered from 1 in this order."""

_SCALARS = {
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "float": FieldDescriptorProto.TYPE_FLOAT,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "string": FieldDescriptorProto.TYPE_STRING,
}

FLOATS, BYTES, INTEGERS = "float_list", "bytes_list", "int64_list"
"""The kinds of a feature list's values."""

_DTYPES: dict[str, np.dtype[Any]] = {FLOATS: np.dtype("<f4"), BYTES: np.dtype("u1"), INTEGERS: np.dtype("<i8")}

_BYTES_A_VALUE = {FLOATS: 4, BYTES: 1, INTEGERS: 1}
"""The bytes per value in a list whose steps are equally long; of integers, only one-byte values can be packed so."""

_FIRST_FIELD = b"\x0a"
"""The tag of a message's field 1 if its length and content follow: of a context, or of a step."""

_MOST_IN_ONE_BYTE = 127
"""The largest integer that protocol buffers store in one byte, as numpy does."""


def _build_classes() -> dict[str, Any]:
    file = FileDescriptorProto(name=f"{_PACKAGE}/sequence_example.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field_name, type_name) in enumerate(fields.items(), start=1):
            field = _add_field(message, field_name, number, type_name.removeprefix(_MAP))
            if type_name.startswith(_MAP):
                field.label = FieldDescriptorProto.LABEL_REPEATED
                entry_name = field_name.title().replace("_", "") + "Entry"
                entry = message.nested_type.add(name=entry_name)
                entry.options.map_entry = True
                _add_field(entry, "key", 1, "string")
                _add_field(entry, "value", 2, type_name.removeprefix(_MAP))
                field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{name}.{entry_name}"
        if name == "Feature":
            message.oneof_decl.add(name="kind")
            for field in message.field:
                field.oneof_index = 0
    # A separate pool, so that TensorFlow's messages in the default pool stay unchanged.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"{_PACKAGE}.{name}") for name in _MESSAGES}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in found.items()}


def _add_field(message: Any, name: str, number: int, type_name: str) -> Any:
    label = FieldDescriptorProto.LABEL_OPTIONAL
    if type_name.startswith(_REPEATED):
        label, type_name = FieldDescriptorProto.LABEL_REPEATED, type_name.removeprefix(_REPEATED)
    field = message.field.add(name=name, number=number, label=label)
    if type_name in _SCALARS:
        field.type = _SCALARS[type_name]
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{type_name}"
    return field


_CLASSES = _build_classes()
SequenceExample = _CLASSES["SequenceExample"]
_Feature, _FeatureList, _Features = _CLASSES["Feature"], _CLASSES["FeatureList"], _CLASSES["Features"]


def read_leading_context(beginning: bytes) -> Any:
    """A SequenceExample with the context at the beginning of these bytes; the bytes after it are not read.

    Raises:
        ValueError: if the bytes don't begin with a context, or end within it.
        DecodeError: if the context can't be parsed.
    """
    stream = io.BytesIO(beginning)
    if stream.read(1) != _FIRST_FIELD:
        raise ValueError("its context is not its first field")
    context = proto.parse_length_prefixed(_Features, stream)
    if context is None:
        raise ValueError("its context is cut off")
    return SequenceExample(context=context)


def pack_rows(rows: np.ndarray, kind: str) -> bytes:
    """Packs an array [T, width] into a serialised feature list of T steps; a `BYTES` row is one value."""
    rows = np.ascontiguousarray(rows, _DTYPES[kind])
    if kind == INTEGERS:
        if rows.size and not (rows.min() >= 0 and rows.max() <= _MOST_IN_ONE_BYTE):
            return _pack_steps(rows)
        rows = rows.astype(np.uint8)
    count, width = rows.shape
    framing = np.frombuffer(_framing(kind, width), np.uint8)
    steps = np.empty((count, len(framing) + width * rows.itemsize), np.uint8)
    steps[:, : len(framing)] = framing
    steps[:, len(framing) :] = rows.view(np.uint8)
    return steps.tobytes()


def unpack_rows(packed: bytes, kind: str) -> np.ndarray:
    """Unpacks a feature list to an array [T, width] of float32, uint8 or int64, which may be a view of `packed`.

    Raises:
        ValueError: if rows have different lengths.
        DecodeError: if the bytes are no feature list.
    """
    rows = _equal_rows(packed, kind)
    return _unpack_steps(packed, kind) if rows is None else rows


@lru_cache(maxsize=256)
def _framing(kind: str, width: int) -> bytes:
    """The bytes that protocol buffers write before the values of a step of this width."""
    step = _FeatureList()
    values = getattr(step.feature.add(), kind).value
    if kind == BYTES:
        values.append(bytes(width))
    else:
        values.extend([0] * width)
    whole: bytes = step.SerializeToString()
    return whole[: len(whole) - width * _BYTES_A_VALUE[kind]]


def _pack_steps(rows: np.ndarray) -> bytes:
    steps = _FeatureList()
    for row in rows.tolist():
        steps.feature.add().int64_list.value.extend(row)
    packed: bytes = steps.SerializeToString()
    return packed


def _equal_rows(packed: bytes, kind: str) -> np.ndarray | None:
    """The rows of a list whose steps all have the framing that `pack_rows` writes, else None."""
    stream, first = io.BytesIO(packed), None
    if stream.read(1) == _FIRST_FIELD:
        # The fault of a damaged list is found later, when the whole list is parsed.
        with suppress(DecodeError, ValueError, OverflowError):
            first = proto.parse_length_prefixed(_Feature, stream)
    if first is None:
        return None
    values = getattr(first, kind).value
    width = sum(map(len, values)) if kind == BYTES else len(values)
    framing, size = np.frombuffer(_framing(kind, width), np.uint8), stream.tell()
    if len(framing) + width * _BYTES_A_VALUE[kind] != size or len(packed) % size:
        return None
    steps = np.frombuffer(packed, np.uint8).reshape(-1, size)
    if not (steps[:, : len(framing)] == framing).all():
        return None
    rows = steps[:, len(framing) :]
    if kind == INTEGERS:
        return rows.astype(np.int64) if rows.max(initial=0) <= _MOST_IN_ONE_BYTE else None
    return rows.view(_DTYPES[kind])


def _unpack_steps(packed: bytes, kind: str) -> np.ndarray:
    lists = [getattr(step, kind).value for step in _FeatureList.FromString(packed).feature]
    if kind == BYTES:
        # A step holds one value, whose bytes are the row.
        lists = [values[0] for values in lists]
    widths = set(map(len, lists))
    if len(widths) > 1:
        raise ValueError("rows of different length")
    shape = (len(lists), widths.pop() if widths else 0)
    return np.fromiter(chain.from_iterable(lists), _DTYPES[kind], shape[0] * shape[1]).reshape(shape)
