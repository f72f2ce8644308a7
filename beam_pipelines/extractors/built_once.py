"""A cached property that several threads may ask for at once."""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeVar, overload

T = TypeVar("T")


class built_once(cached_property[T]):
    """A cached property, built by only one of several threads: the instance has the lock `building`."""

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> built_once[T]: ...

    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> T: ...

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        if instance is None:
            return self
        with instance.building:
            return super().__get__(instance, owner)
