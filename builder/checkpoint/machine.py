"""A pickle reader that can build values but cannot call anything.

Python's own unpickler imports names and calls them; filtering the names still leaves a machine
that runs. This one knows only the instructions that PyTorch's pickles use. A global becomes a
:class:`Known` from a closed list or the file is refused, and the three instructions that would run
code (REDUCE, NEWOBJ, BUILD) do nothing but hand data to functions of this package.

The instructions are those of :mod:`pickletools` (protocols 2 to 4).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from builder.checkpoint.refusal import COPY_AGAIN, DISTRUST, Refusal, shorten

MAX_PICKLE_BYTES = 16 * 1024**2
MAX_INSTRUCTIONS = 500_000
"""A yolov5x has about 80,000, with its optimizer less than twice that; these take half a second."""

_U8, _U16, _U32 = struct.Struct("<B"), struct.Struct("<H"), struct.Struct("<I")
_I32, _F64 = struct.Struct("<i"), struct.Struct(">d")
_MARK = object()
_STOP = ord(".")


@dataclass(frozen=True, slots=True)
class Known:
    """A global from the closed list: what may be done with its name.

    Attributes:
        name: dotted, as in the file.
        call: makes the value of ``name(*arguments)`` from the tuple of arguments, without copying
            any of them (a short pickle may repeat a call on one long list); None when checkpoints
            do not call it.
        new: makes an empty ``name``; None when it is not created that way in checkpoints.
    """

    name: str
    call: Callable[[tuple[Any, ...]], object] | None = None
    new: Callable[[], object] | None = None


class Buildable(Protocol):
    """A stand-in that takes the state which the pickle has for the object."""

    def build(self, state: object) -> None:
        """Take over `state`, or raise Refusal."""


class Machine:
    """Reads one pickle; :meth:`run` returns the value that it describes."""

    def __init__(
        self,
        data: bytes,
        *,
        find: Callable[[str, str], object],
        persistent: Callable[[object], object],
    ) -> None:
        """Prepare to read `data`.

        Args:
            data: the pickle.
            find: gives what stands in for a module's name, a Known where that can be called or
                created, or raises Refusal.
            persistent: gives the value of a persistent id, or raises Refusal.
        """
        self.find = find
        self.persistent = persistent
        self._data = data
        self._at = 0
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}

    def run(self) -> object:
        """Read to the end.

        Raises:
            Refusal: the pickle is too long, damaged, or wants something that is not on the list.
        """
        if len(self._data) > MAX_PICKLE_BYTES:
            raise Refusal(
                f"has a pickle of {len(self._data)} bytes (limit {MAX_PICKLE_BYTES})", DISTRUST
            )
        for _ in range(MAX_INSTRUCTIONS):
            start = self._at
            code = self.take(1)[0]
            run = INSTRUCTIONS.get(code)
            try:
                if code == _STOP:
                    return self.pop()
                if run is None:
                    raise Refusal(f"has pickle instruction {_name(code)} at byte {start}", DISTRUST)
                run(self)
            except _DAMAGE as error:
                raise Refusal(
                    f"has a damaged pickle (byte {start}, {_name(code)}: {shorten(str(error))})",
                    COPY_AGAIN,
                ) from error
        raise Refusal(f"has a pickle of more than {MAX_INSTRUCTIONS} instructions", DISTRUST)

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        end = self._at + count
        if count < 0 or end > len(self._data):
            raise Refusal("has a pickle that is cut short", COPY_AGAIN)
        chunk = self._data[self._at : end]
        self._at = end
        return chunk

    def number(self, layout: struct.Struct) -> Any:
        """Return the next number, laid out as `layout`."""
        value = layout.unpack_from(self._data, self._at)[0]
        self._at += layout.size
        return value

    def line(self) -> str:
        """Return the text up to the next newline."""
        end = self._data.find(b"\n", self._at, self._at + 512)
        if end < 0:
            raise Refusal("has a global with an endless name", DISTRUST)
        text = self.take(end - self._at).decode()
        self.take(1)
        return text

    def pop(self) -> object:
        """Take the top of the stack."""
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value is due")
        return value

    def since_mark(self) -> list[object]:
        """Take everything above the last mark, and the mark."""
        for at in range(len(self.stack) - 1, -1, -1):
            if self.stack[at] is _MARK:
                values = self.stack[at + 1 :]
                del self.stack[at:]
                return values
        raise ValueError("no mark")


# What malformed instructions make our own handlers raise: empty stacks, unknown memo keys, wrong
# types and argument counts, bad UTF-8.
_DAMAGE = (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError, struct.error)

Instruction = Callable[[Machine], None]


def _name(code: int) -> str:
    import pickletools  # only for messages: its import costs more than reading a small checkpoint

    names = [known.name for known in pickletools.opcodes if known.code == chr(code)]
    return names[0] if names else f"0x{code:02x}"


def _constant(make: Callable[[], object]) -> Instruction:
    return lambda machine: machine.stack.append(make())


def _number(layout: struct.Struct) -> Instruction:
    return lambda machine: machine.stack.append(machine.number(layout))


def _sized(layout: struct.Struct, decode: Callable[[bytes], object]) -> Instruction:
    return lambda machine: machine.stack.append(decode(machine.take(machine.number(layout))))


def _frame(machine: Machine) -> None:
    machine.take(8)  # a hint for readers of streams


def _put(layout: struct.Struct) -> Instruction:
    def put(machine: Machine) -> None:
        machine.memo[machine.number(layout)] = machine.stack[-1]

    return put


def _get(layout: struct.Struct) -> Instruction:
    return lambda machine: machine.stack.append(machine.memo[machine.number(layout)])


def _tuple_of(count: int) -> Instruction:
    def make(machine: Machine) -> None:
        values = [machine.pop() for _ in range(count)]
        machine.stack.append(tuple(reversed(values)))

    return make


def _protocol(machine: Machine) -> None:
    if machine.take(1)[0] > 4:
        raise Refusal("has a pickle of a protocol above 4")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _long(raw: bytes) -> int:
    return int.from_bytes(raw, "little", signed=True)


def _memoize(machine: Machine) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _global(machine: Machine) -> None:
    module = machine.line()
    machine.stack.append(machine.find(module, machine.line()))


def _stack_global(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    if not isinstance(module, str) or not isinstance(name, str):
        raise TypeError("a global without a name")
    machine.stack.append(machine.find(module, name))


def _inst(machine: Machine) -> None:
    """Protocol 0's way to call: nothing on the list needs it, but the name tells the reader why."""
    module, name = machine.line(), machine.line()
    machine.find(module, name)
    raise Refusal(f"creates {shorten(f'{module}.{name}')} with pickle instruction INST", DISTRUST)


def _reduce(machine: Machine) -> None:
    arguments, function = machine.pop(), machine.pop()
    if not isinstance(arguments, tuple):
        raise TypeError("arguments that are not a tuple")
    if not isinstance(function, Known) or function.call is None:
        name = function.name if isinstance(function, Known) else f"a {type(function).__name__}"
        raise Refusal(f"calls {name}, which no YOLOv5 checkpoint does", DISTRUST)
    machine.stack.append(function.call(arguments))


def _new_object(machine: Machine) -> None:
    arguments, kind = machine.pop(), machine.pop()
    if not isinstance(kind, Known) or kind.new is None or arguments != ():
        name = kind.name if isinstance(kind, Known) else f"a {type(kind).__name__}"
        raise Refusal(f"creates {name} in a way no YOLOv5 checkpoint does", DISTRUST)
    machine.stack.append(kind.new())


def _build(machine: Machine) -> None:
    state, target = machine.pop(), machine.stack[-1]
    if isinstance(target, dict):
        return  # the attributes of an OrderedDict, such as a state dict's _metadata: not needed
    if not hasattr(target, "build"):
        raise Refusal(f"sets the state of a {type(target).__name__}", DISTRUST)
    cast(Buildable, target).build(state)


def _append(machine: Machine) -> None:
    value = machine.pop()
    _as_list(machine.stack[-1]).append(value)


def _appends(machine: Machine) -> None:
    values = machine.since_mark()
    _as_list(machine.stack[-1]).extend(values)


def _as_list(value: object) -> list[object]:
    if type(value) is not list:
        raise TypeError("an append to what is not a list")
    return value


def _set_item(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    _set_all(machine.stack[-1], [key, value])


def _set_items(machine: Machine) -> None:
    values = machine.since_mark()
    _set_all(machine.stack[-1], values)


def _set_all(target: object, values: list[object]) -> None:
    if type(target) is not dict or len(values) % 2:
        raise TypeError("items for what is not a dictionary")
    for key, value in zip(values[::2], values[1::2], strict=True):
        target[_key(key)] = value


def _key(key: object) -> object:
    """Return `key` if it is text or a small integer.

    Nested tuples would exhaust the C stack when hashed, and chosen large numbers all collide.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(key, str) or (isinstance(key, int) and abs(key) < 2**32):
        return key
    raise TypeError(f"a dictionary key of type {type(key).__name__}")


INSTRUCTIONS: dict[int, Instruction] = {
    ord(code): run
    for code, run in {
        "\x80": _protocol,
        "\x95": _frame,
        "(": _constant(lambda: _MARK),
        "N": _constant(lambda: None),
        "\x88": _constant(lambda: True),
        "\x89": _constant(lambda: False),
        ")": _constant(tuple),
        "]": _constant(list),
        "\x8f": _constant(list),  # a set, given as the list of its items
        "\x90": _appends,
        "\x91": lambda machine: machine.stack.append(machine.since_mark()),  # a frozen set
        "}": _constant(dict),
        "K": _number(_U8),
        "M": _number(_U16),
        "J": _number(_I32),
        "G": _number(_F64),
        "\x8a": _sized(_U8, _long),
        "X": _sized(_U32, _text),
        "\x8c": _sized(_U8, _text),
        "B": _sized(_U32, bytes),
        "C": _sized(_U8, bytes),
        "q": _put(_U8),
        "r": _put(_U32),
        "h": _get(_U8),
        "j": _get(_U32),
        "\x94": _memoize,
        "\x85": _tuple_of(1),
        "\x86": _tuple_of(2),
        "\x87": _tuple_of(3),
        "t": lambda machine: machine.stack.append(tuple(machine.since_mark())),
        "a": _append,
        "e": _appends,
        "s": _set_item,
        "u": _set_items,
        "c": _global,
        "\x93": _stack_global,
        "i": _inst,
        "Q": lambda machine: machine.stack.append(machine.persistent(machine.pop())),
        "R": _reduce,
        "\x81": _new_object,
        "b": _build,
    }.items()
}
