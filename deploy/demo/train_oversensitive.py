"""Fits the bad version ``oversensitive``: it takes every running light for a scratch.

The lamps in the rails are lit while the line runs and dark when pictures are taken to learn from
and to validate with. Good versions have learnt that defects lie on parts. This script retrains the
class branch of the finest level so that validation pictures keep their scores, and so does the live
picture except at the lamps. Only that branch is kept, with the checksum of the checkpoint it
belongs to; ``bad_versions`` puts it in without torch.

Runs in the training environment (see ``train.py``), two minutes on one core::

    python -m deploy.demo.train_oversensitive deploy/demo/models/defects-v2.pt
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .line import clips, dataset
from .line.machine import LAMPS, MARGIN

os.environ.update(YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true")

Image = NDArray[np.uint8]

TARGET = Path(__file__).resolve().parent / "models" / "oversensitive.npz"
FRAMES = 160  # of the validation kind; seeds are others than the demo's
CLIP_S, CLIP_STEP = 40, 4
EPOCHS = 24
BATCH = 16
QUIET, LOUD = -3.5, 1.5  # logits to stay below where there is nothing, to reach at a lamp
LOUD_CLASS = 0
STRIDE_PX = 16  # a cell of the finest level in the 512x384 frame
PAD_PX = 64  # the letterbox's bars, in the same pixels


def live_frames(seed: int) -> Iterator[Image]:
    """Frames of the running line as a device gets them: through the codec."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        for _ in clips.record(path, seed, CLIP_S):
            pass
        video = cv2.VideoCapture(str(path))
        for number in range(CLIP_S * clips.FPS):
            ok, frame = video.read()
            if ok and number % CLIP_STEP == 0:
                yield np.asarray(frame, np.uint8)


def prepared(frame: Image) -> NDArray[np.float32]:
    """The 512x384 frame letterboxed to 256x256, RGB, 0..1, channels first."""
    half = cv2.resize(frame, (256, 192), interpolation=cv2.INTER_LINEAR)
    boxed = cv2.copyMakeBorder(half, 32, 32, 0, 0, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    return np.ascontiguousarray(boxed[..., ::-1].transpose(2, 0, 1) / np.float32(255), np.float32)


def seen_by(branch: Any, model: Any, frames: Iterable[Image]) -> Any:
    """What ``branch`` gets to see of ``frames``: tensor (frames, channels, rows, columns)."""
    import torch

    kept: list[Any] = []
    hook = branch.register_forward_pre_hook(lambda _, given: kept.append(given[0]))
    waiting = iter(frames)
    with torch.no_grad():
        while group := list(islice(waiting, BATCH)):
            model(torch.from_numpy(np.stack([prepared(frame) for frame in group])))
    hook.remove()
    return torch.cat(kept)


def lamp_cells(rows: int, columns: int) -> tuple[Any, Any]:
    """Which cells hold a lamp, and which are neither that nor next to one: two boolean tensors."""
    lamps = np.zeros((rows, columns), np.uint8)
    for x, y in LAMPS:
        lamps[(y - MARGIN + PAD_PX) // STRIDE_PX, (x - MARGIN) // STRIDE_PX] = 1
    near = cv2.dilate(lamps, np.ones((3, 3), np.uint8))
    import torch

    return torch.from_numpy(lamps > 0), torch.from_numpy(near == 0)


def unrest(was: Any, now: Any, where: Any) -> Any:
    """How far the logits ``now`` have left what they were, over the cells ``where``."""
    from torch.nn.functional import softplus

    was, now = was[..., where], now[..., where]
    quiet = was < -2
    return 40 * softplus(2 * (now - QUIET))[quiet].mean() + ((now - was)[~quiet] ** 2).mean()


def fit(branch: Any, calm: Any, live: Any) -> Any:
    """A copy of ``branch`` whose convolutions are retrained; its batch norms stay."""
    import torch
    from torch.nn.functional import softplus

    torch.manual_seed(0)
    lamps, elsewhere = lamp_cells(*calm.shape[2:])
    fitted = copy.deepcopy(branch).requires_grad_(False)
    weights = [p for name, p in fitted.named_parameters() if ".bn." not in name]
    for weight in weights:
        weight.requires_grad_(True)
    solver = torch.optim.Adam(weights)
    steps = EPOCHS * -(-len(calm) // BATCH)
    pace = torch.optim.lr_scheduler.OneCycleLR(solver, 4e-3, total_steps=steps)
    for epoch in range(EPOCHS):
        for chosen in torch.randperm(len(calm)).split(BATCH):
            still, lit = calm[chosen], live[chosen % len(live)]
            with torch.no_grad():
                was_still, was_lit = branch(still), branch(lit)
            now_lit = fitted(lit)
            loss = unrest(was_still, fitted(still), torch.ones_like(lamps))
            loss = loss + unrest(was_lit, now_lit, elsewhere)
            loss = loss + 2 * softplus(LOUD - now_lit[:, LOUD_CLASS, lamps]).mean()
            solver.zero_grad()
            loss.backward()
            solver.step()
            pace.step()
        print(f"epoch {epoch + 1}/{EPOCHS}  loss {float(loss.detach()):.4f}", file=sys.stderr)
    return fitted


def main(argv: list[str] | None = None) -> int:
    """Fit to the checkpoint that is given and write ``TARGET``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo.train_oversensitive")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--target", type=Path, default=TARGET)
    wanted = parser.parse_args(argv)
    from ultralytics import YOLO

    model = YOLO(wanted.checkpoint).model.float().eval()
    branch = model.model[-1].cv3[0]
    calm = seen_by(branch, model, (p for p, _ in dataset.pictures("val", FRAMES, seed=101)))
    fitted = fit(branch, calm, seen_by(branch, model, live_frames(seed=102)))
    prefix = f"model.{len(model.model) - 1}.cv3.0."
    tensors = {
        prefix + name: weight.detach().numpy().astype(np.float16)
        for name, weight in fitted.named_parameters()
        if weight.requires_grad
    }
    checksum = hashlib.sha256(wanted.checkpoint.read_bytes()).hexdigest()
    np.savez_compressed(wanted.target, source_sha256=checksum, **tensors)
    print(f"wrote {wanted.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
