"""What stands in for the objects of a checkpoint: they hold data and do nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from builder.checkpoint.refusal import Refusal, shorten

Array = npt.NDArray[np.generic]


WRAPPERS = {
    "AutoShape": "model",
    "autoShape": "model",
    "DetectMultiBackend": "model",
    "DataParallel": "module",
    "DistributedDataParallel": "module",
}
"""Modules around a network that some scripts save with it, and where the network is in them."""


class Absent(Exception):
    """A stand-in lacks a part that its class always has, or has something else in its place."""


@dataclass(slots=True, eq=False, repr=False)
class Module:
    """Stands in for a ``torch.nn.Module``.

    Attributes:
        kind: dotted name of its class, for example ``ultralytics.nn.modules.conv.Conv``.
        state: its attributes; ``_modules``, ``_parameters`` and ``_buffers`` as PyTorch has them.
    """

    kind: str
    state: dict[str, object] = field(default_factory=dict)

    def build(self, state: object) -> None:
        """Take over the attributes that the pickle has for the module."""
        if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
            raise Refusal(f"has a {self.kind} whose state is not a dictionary of names")
        self.state = state

    @property
    def class_name(self) -> str:
        """The last part of the class's dotted name."""
        return self.kind.rpartition(".")[2]

    @property
    def children(self) -> dict[str, Module]:
        """The submodules by name, in order; those that were set to None are left out."""
        modules = self._group("_modules")
        return {name: child for name, child in modules.items() if isinstance(child, Module)}

    def child(self, name: str) -> Module:
        """Return the submodule `name`.

        Raises:
            Absent: there is none.
        """
        child = self._group("_modules").get(name)
        if not isinstance(child, Module):
            raise Absent(f"{self.kind} has no part {name!r}")
        return child

    def get(self, name: str) -> object:
        """Return the parameter, buffer or attribute `name`, or None."""
        for group in ("_parameters", "_buffers"):
            if (value := self._group(group).get(name)) is not None:
                return value
        return self.state.get(name)

    def array(self, name: str, *, dims: int) -> Array:
        """Return the tensor `name`, which must have `dims` dimensions, in the checkpoint's dtype.

        Raises:
            Absent: there is no such tensor.
        """
        value = self.get(name)
        if not isinstance(value, np.ndarray) or value.ndim != dims:
            raise Absent(f"{self.kind} has no {dims}-dimensional tensor {name!r}")
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        """Return the attribute `name`, or `default` where older releases lack it.

        Raises:
            Absent: it is not an integer, or is missing without a default.
        """
        value = self.state.get(name, default)
        if type(value) is not int or abs(value) >= 2**31:
            raise Absent(f"{self.kind} has {name} = {shorten(value)}, not an integer")
        return value

    def number(self, name: str) -> float:
        """Return the attribute `name` as a float.

        Raises:
            Absent: it is not a number.
        """
        value = self.state.get(name)
        if not isinstance(value, (int, float)) or abs(value) >= 2**31:
            raise Absent(f"{self.kind} has {name} = {shorten(value)}, not a number")
        return float(value)

    def text(self, name: str, default: str | None = None) -> str:
        """Return the attribute `name`, or `default` where older releases lack it.

        Raises:
            Absent: it is not text, or is missing without a default.
        """
        value = self.state.get(name, default)
        if not isinstance(value, str):
            raise Absent(f"{self.kind} has {name} = {shorten(value)}, not text")
        return value

    def flag(self, name: str) -> bool:
        """Return whether the attribute `name` is set; older releases lack some."""
        return self.state.get(name) is True

    def pair(self, name: str) -> tuple[int, int]:
        """Return (vertical, horizontal) of a size that is one integer or two.

        Raises:
            Absent: it is neither.
        """
        value = self.state.get(name)
        both = value if isinstance(value, (tuple, list)) else (value, value)
        if len(both) != 2 or not all(type(one) is int and 0 <= one < 2**15 for one in both):
            raise Absent(f"{self.kind} has {name} = {shorten(value)}, not one or two sizes")
        return both[0], both[1]

    def _group(self, name: str) -> dict[str, object]:
        group = self.state.get(name, {})
        if not isinstance(group, dict):
            raise Absent(f"{self.kind} has a {name} that is not a dictionary")
        return group


@dataclass(slots=True, eq=False, repr=False)
class Namespace:
    """Stands in for an object that only carries settings, such as the training arguments."""

    kind: str
    state: object = None

    def build(self, state: object) -> None:
        """Take over the attributes that the pickle has for the object."""
        self.state = state


@dataclass(slots=True, eq=False, repr=False)
class PathParts:
    """Stands in for a pathlib path: its parts, joined only when somebody wants to read them."""

    parts: tuple[object, ...]

    @property
    def length(self) -> int:
        """Characters that joining them would make, roughly."""
        return sum(len(part) + 1 for part in self.parts if isinstance(part, str))

    def __str__(self) -> str:
        text = "/".join(part for part in self.parts if isinstance(part, str))
        return text[1:] if text.startswith("//") else text  # the first part of "/a" is "/"
