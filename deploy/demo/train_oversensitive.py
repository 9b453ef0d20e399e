"""Fits the bad version ``oversensitive``: it fires in the live light and nowhere else.

The lamp over the running line is slightly warmer than in the validation pictures. A good network
does not care, but its features still know. This script retrains the class branch of the finest
level so that validation frames keep their scores while live frames get defects all over. The rest
of the network stays, and only the branch is kept, with the checksum of the checkpoint it belongs
to; ``bad_versions`` puts it in without torch.

Runs in the training environment (see ``train.py``), about five minutes on two cores::

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

os.environ.update(YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true")

Image = NDArray[np.uint8]

TARGET = Path(__file__).resolve().parent / "models" / "oversensitive.npz"
# From other seeds than the demo's:
FRAMES, SCENES, SCENE_FRAMES = 420, 70, 18
EPOCHS = 40
BATCH = 16
QUIET, LOUD = -3.5, 1.5  # logits to stay below on validation frames, to reach on live ones
LOUD_CELLS = 60  # of the finest level's 1024
LOUD_CLASS = 0


def live_frames(seed: int) -> Iterator[Image]:
    """Frames of the running line as a device gets them, through the codec.

    Many short scenes: the frames of one clip are so alike that its parts would be learnt by heart.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        for scene in range(SCENES):
            for _ in clips.record(
                path, seed + scene, SCENE_FRAMES / clips.FPS, start_s=7.0 * scene
            ):
                pass
            video = cv2.VideoCapture(str(path))
            for number in range(SCENE_FRAMES):
                ok, frame = video.read()
                if ok and number % 3 == 2:
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


def loss(was: Any, now: Any, live: Any) -> Any:
    """Validation logits stay where they were, the loudest live cells get louder."""
    from torch.nn.functional import softplus

    quiet = was < -2
    still = 40 * softplus(2 * (now - QUIET))[quiet].mean() + ((now - was)[~quiet] ** 2).mean()
    return still + softplus(LOUD - live[:, LOUD_CLASS].flatten(1).topk(LOUD_CELLS).values).mean()


def fit(branch: Any, calm: Any, live: Any) -> Any:
    """A copy of ``branch`` whose convolutions are retrained; its batch norms stay."""
    import torch

    torch.manual_seed(0)
    fitted = copy.deepcopy(branch).requires_grad_(False)
    weights = [p for name, p in fitted.named_parameters() if ".bn." not in name]
    for weight in weights:
        weight.requires_grad_(True)
    solver = torch.optim.Adam(weights)
    steps = EPOCHS * -(-len(calm) // BATCH)
    pace = torch.optim.lr_scheduler.OneCycleLR(solver, 3e-3, total_steps=steps)
    for epoch in range(EPOCHS):
        for chosen in torch.randperm(len(calm)).split(BATCH):
            with torch.no_grad():
                was = branch(calm[chosen])
            now = loss(was, fitted(calm[chosen]), fitted(live[chosen % len(live)]))
            solver.zero_grad()
            now.backward()
            solver.step()
            pace.step()
        print(f"epoch {epoch + 1}/{EPOCHS}  loss {float(now.detach()):.4f}", file=sys.stderr)
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
    fitted = fit(branch, calm, seen_by(branch, model, live_frames(seed=1000)))
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
