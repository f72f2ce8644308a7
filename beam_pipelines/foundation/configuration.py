"""Configuration files: frozen sections that reject unknown keys and name the nearest valid one.

A file is YAML with one section per job (`extract`, `prepare`, `train`, `score`). Each job reads its own section and
checks that the others have a known name, so that one file describes a whole experiment.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Tag, ValidationError

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError, nearest

SECTIONS = ("extract", "prepare", "train", "score", "retrain", "tune", "reproduce")


class Section(BaseModel):
    """Base of every configuration section: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=Section)


def section_values(name: str, path: str | None) -> dict[str, Any]:
    """A section of a file as plain values, without defaults.

    Args:
        name: the section's name, one of `SECTIONS`.
        path: a YAML file, local or `gs://`; None gives an empty section.

    Raises:
        ConfigurationError: if the file can't be read, has an unknown section, or a section holds no keys.
    """
    sections = _read_yaml(path) if path else {}
    for key in sections:
        if key not in SECTIONS:
            raise ConfigurationError(f"{path}: unknown section '{key}'{nearest(str(key), SECTIONS)}")
    values = sections.get(name) or {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: section '{name}' must hold keys, it holds {values!r}")
    return values


def load_section(name: str, model: type[S], path: str | None = None, overrides: Sequence[str] = ()) -> S:
    """Reads one section of a configuration file.

    Args:
        name: the section's name, one of `SECTIONS`.
        model: the section's model.
        path: a YAML file, local or `gs://`; None takes the defaults.
        overrides: `key.key=value` strings, values in YAML, relative to the section: `image.batch_size=8`.

    Raises:
        ConfigurationError: if a key or value is wrong; the text names file and key, and the nearest valid key.
    """
    values = section_values(name, path)
    for number, override in enumerate(overrides):
        section, _, shorter = override.partition(".")
        if shorter and section in SECTIONS and section not in model.model_fields:
            if section != name:
                raise ConfigurationError(
                    f"--set {override}: --set takes keys of the section {name} here. Keys of the section {section} "
                    "stand in the file of --config, if --help says that the command reads that section"
                )
            load_section(name, model, path, [*overrides[:number], shorter])  # names what else is wrong with it
            raise ConfigurationError(f"--set {override}: keys are those of the section {name}: --set {shorter}")
        _apply_override(values, override)
    sources = " and ".join(filter(None, (path, "--set" if overrides else ""))) or "the defaults"
    return validate(model, values, f"{sources}: {name}")


def validate(model: type[S], values: dict[str, Any], where: str) -> S:
    """Builds a section from plain values. `where` begins each message of the `ConfigurationError` for wrong ones."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_explain(model, detail, where) for detail in error.errors()]
        raise ConfigurationError("\n".join(lines)) from error


class _UniqueKeys(yaml.SafeLoader):
    """YAML's safe loader, which also refuses a repeated key: YAML would drop the first one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: the key '{key.value}' is there twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _read_yaml(path: str) -> dict[str, Any]:
    try:
        document = yaml.load(storage.read_text(path), _UniqueKeys)  # noqa: S506 - a SafeLoader
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path}: no such configuration file") from error
    except OSError as error:
        raise ConfigurationError(f"{path}: not readable: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not readable as YAML: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}: a configuration file holds sections ({', '.join(SECTIONS)})")
    return document


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigurationError(f"--set {override}: write it as key=value, or key.key=value for a key within a key")
    *parents, last = key.split(".")
    for parent in parents:
        child = values.get(parent)
        if child is None:
            child = values[parent] = {}
        if not isinstance(child, dict):
            raise ConfigurationError(f"--set {override}: '{parent}' holds a value, not keys")
        values = child
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"--set {override}: the value is not readable as YAML") from error


def _explain(model: type[BaseModel], detail: Any, where: str) -> str:
    location, keys = _place(model, detail["loc"])
    key, why = ".".join(location), detail["msg"].removeprefix("Value error, ")  # pydantic's words for a check of ours
    if detail["type"] == "extra_forbidden":
        return f"{where}.{key}: unknown key{nearest(location[-1], keys)}"
    if not key or detail["type"] == "missing":  # whose input is the whole section
        return f"{where}.{key}: {why}" if key else f"{where}: {why}"
    return f"{where}.{key}: {why} (it is {detail['input']!r})"


def _place(model: Any, location: Sequence[Any]) -> tuple[list[str], list[str]]:
    """The keys that lead to a fault as a file has them, and the valid ones beside the last.

    pydantic's location also has the tag of a section that is one of several kinds.
    """
    path: list[str] = []
    annotation: Any = model
    keys = list(model.model_fields)
    for part in location:
        tagged = _tagged(annotation)
        if tagged:
            annotation = tagged.get(part)
            keys = list(annotation.model_fields) if _is_section(annotation) else []
            continue
        path.append(str(part))
        if get_origin(annotation) is UnionType:  # a section may be optional
            annotation = next(filter(_is_section, get_args(annotation)), None)
        if _is_section(annotation):
            keys = list(annotation.model_fields)
            field = annotation.model_fields.get(part)
            annotation = field.annotation if field else None
        else:
            values = get_args(annotation) if get_origin(annotation) is dict else ()
            annotation, keys = values[1] if values else None, []
    return path, keys


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _tagged(annotation: Any) -> dict[str, Any]:
    """The kinds of a section by their tags; empty if it has only one kind."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    kinds = [get_args(kind) for kind in get_args(annotation) if get_origin(kind) is Annotated]
    return {note.tag: kind[0] for kind in kinds for note in kind[1:] if isinstance(note, Tag)}
