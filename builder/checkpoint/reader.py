"""From a .pt file to a :class:`Checkpoint`: open, read, pick the model, load, describe."""

from __future__ import annotations

import hashlib
from pathlib import Path

from builder.checkpoint.archive import Archive
from builder.checkpoint.describe import Checkpoint, describe
from builder.checkpoint.machine import MAX_PICKLE_BYTES, Machine
from builder.checkpoint.methods import Finder
from builder.checkpoint.refusal import COPY_AGAIN, DISTRUST, WRONG_FILE, Refusal, shorten
from builder.checkpoint.tensors import Storages, Tensor
from builder.checkpoint.values import WRAPPERS, Absent, Array, Module
from builder.errors import CheckpointError


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a YOLOv5 or YOLOv5u detection checkpoint without running anything in it.

    Tensors are views of the memory-mapped file, which must not change while they are used.

    Args:
        path: the ``.pt`` file that training wrote.

    Raises:
        CheckpointError: the file is missing, damaged, hostile, or holds another kind of model; the
            message names the file, what was found and what to do.
    """
    try:
        archive = Archive.open(path)
        top = _unpickle(archive)
        model, weights = _pick_model(top)
        model = _unwrapped(model)
        _load_tensors(model)
        sha256 = hashlib.sha256(archive.raw).hexdigest()
        return describe(path=path, sha256=sha256, model=model, weights=weights, top=top)
    except Refusal as refusal:
        raise CheckpointError(f"{path}: {refusal}") from refusal
    except Absent as absent:
        raise CheckpointError(f"{path}: is damaged: {absent}; {COPY_AGAIN}") from absent
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}; {WRONG_FILE}") from error


def _unpickle(archive: Archive) -> object:
    if "data.pkl" not in archive:
        raise Refusal("is a zip, but has no data.pkl as PyTorch's files do", WRONG_FILE)
    if "constants.pkl" in archive:
        raise Refusal("is a TorchScript export, not a checkpoint", WRONG_FILE)
    if "byteorder" in archive and bytes(archive.read("byteorder")[:8]) != b"little":
        raise Refusal("was saved on a big-endian machine", "save it again on a little-endian one")
    if archive.size("data.pkl") > MAX_PICKLE_BYTES:
        raise Refusal(f"has a pickle of more than {MAX_PICKLE_BYTES} bytes", DISTRUST)
    storages = Storages(archive)
    data = bytes(archive.read("data.pkl"))
    return Machine(data, find=Finder().find, persistent=storages.find).run()


def _pick_model(top: object) -> tuple[Module, str]:
    """Return the model to deploy and where it was; `ema` goes first, as in both training codes."""
    if isinstance(top, Module):
        return top, "whole file"
    if not isinstance(top, dict):
        raise Refusal(f"holds {shorten(top)}, not a checkpoint", WRONG_FILE)
    for key in ("ema", "model"):
        if isinstance(candidate := top.get(key), Module):
            return candidate, key
    held = [top, *(top.get(key) for key in ("ema", "model", "state_dict", "model_state_dict"))]
    if any(isinstance(one, dict) and _is_state(one) for one in held):
        raise Refusal("holds only weights (a state dict), not the network they fit", WRONG_FILE)
    found = ", ".join(shorten(key, 20) for key in list(top)[:8]) or "nothing"
    raise Refusal(f"has no model under 'ema' or 'model' (it has {found})", WRONG_FILE)


def _is_state(held: dict[object, object]) -> bool:
    return any(isinstance(value, Tensor) for value in held.values())


def _unwrapped(model: Module) -> Module:
    """The network inside what scripts for inference and several GPUs put around it."""
    for _ in range(len(WRAPPERS)):
        if model.class_name not in WRAPPERS:
            break
        model = model.child(WRAPPERS[model.class_name])
    return model


def _load_tensors(model: Module) -> None:
    """Replace each described tensor below `model` by its array; the optimizer's stay unread."""
    arrays: dict[int, Array] = {}
    pending: list[object] = [model]
    seen: set[int] = {id(model)}
    while pending:
        holder = pending.pop()
        content = holder.state if isinstance(holder, Module) else holder
        items = content.items() if isinstance(content, dict) else enumerate(_list(content))
        for key, value in list(items):
            if isinstance(value, Tensor):
                if id(value) not in arrays:
                    arrays[id(value)] = value.array()
                content[key] = arrays[id(value)]  # type: ignore[index]
            elif isinstance(value, (Module, dict, list)) and id(value) not in seen:
                seen.add(id(value))
                pending.append(value)


def _list(content: object) -> list[object]:
    return content if isinstance(content, list) else []
