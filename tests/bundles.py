"""Tiny real bundles for tests: a network that finds coloured squares, in a few milliseconds.

Nothing here is a mock. `make_bundle` writes a folder in the bundle's real format, with a real ONNX
graph (64 x 64 input, one 8 x 8 convolution, three classes), golden frames, a reference profile and
a reference picture, all made through the agent's own detector and gate::

    bundle = make_bundle(tmp_path / "v1")                  # healthy
    bundle = make_bundle(tmp_path / "v2", version=2)       # another digest, the same behaviour
    bundle = make_bundle(tmp_path / "bad", nan=True)       # refused by the self-test
    bundle = make_bundle(tmp_path / "slow", slow=40)       # healthy, but slower

    Detector.load(bundle).detect(frame(0))                 # a few squares, best score first

The classes are a red, a green and a blue square; the purer the colour, the higher the score.
`frame(n)` is the n-th picture of the line (96 x 72 BGR), `dirty(picture)` the same behind a dirty
lens, `write_clip(path)` a video of them, `write_frames(folder)` a folder of PNG files.
Everything is seeded: the same call makes the same bytes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_agent.bundle import Bundle, Manifest
from edge_agent.detection.detector import Detector
from edge_agent.detection.golden import Golden, GoldenFrame
from edge_agent.gate import Gate
from edge_agent.monitors.embedding import Projection
from edge_agent.monitors.histogram import Histograms
from edge_agent.monitors.observe import observe_input, observe_output, picture_values
from edge_agent.monitors.profile import Profile

CLASSES = ("red", "green", "blue")
WIDTH, HEIGHT = 96, 72
SIDE = 64
_CELL = 8
_COLOURS = ((0, 0, 1), (0, 1, 0), (1, 0, 0))  # BGR of red, green, blue
_PROFILE_FRAMES = 40


def background(seed: int = 0) -> np.ndarray:
    """The empty line: grey with a soft texture, (72, 96, 3) BGR uint8."""
    rng = np.random.default_rng([seed, 1])
    noise = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32), (0, 0), 1.5)
    gray = np.clip(114 + 90 * noise, 0, 255).astype(np.uint8)
    return cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR)


def frame(number: int, *, squares: int | None = None, seed: int = 0) -> np.ndarray:
    """Picture ``number`` of the line with ``squares`` objects (0 to 3 at random when None)."""
    rng = np.random.default_rng([seed, 2, number])
    picture = background(seed).astype(np.int16)
    count = int(rng.integers(0, 4)) if squares is None else squares
    cells = rng.choice(20, count, replace=False)
    for cell in cells.tolist():
        purity = rng.uniform(0.35, 0.95)
        colour = np.asarray(_COLOURS[int(rng.integers(3))])
        # 15 picture pixels are 10 tensor pixels, centred on one of the network's cells.
        x, y = 12 * (1 + cell % 5 + (cell % 5 > 2)) - 2, 12 * (cell // 5 + 1) - 2
        level = 128 * (1 - purity) + 255 * purity * colour
        picture[y : y + 15, x : x + 15] = level
    noise = rng.normal(0, 2, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def dirty(picture: np.ndarray) -> np.ndarray:
    """The same picture behind a lens covered with grease."""
    return cv2.addWeighted(cv2.GaussianBlur(picture, (0, 0), 6), 0.4, picture, 0.0, 100)


def write_frames(folder: Path, count: int = 8) -> Path:
    """A folder with ``count`` PNG pictures, named so that they sort; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        cv2.imwrite(str(folder / f"{number:04d}.png"), frame(number))
    return folder


def write_clip(path: Path, count: int = 20, fps: float = 10.0) -> Path:
    """A video of the line (MJPEG in AVI or MP4 by the name's ending); returns its path."""
    code = "MJPG" if path.suffix == ".avi" else "mp4v"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), fps, (WIDTH, HEIGHT))
    assert writer.isOpened(), f"no {code} encoder for {path}"
    for number in range(count):
        writer.write(frame(number))
    writer.release()
    return path


def make_bundle(
    root: Path,
    *,
    name: str = "tiny",
    version: int = 1,
    head: str = "yolov5u",
    nan: bool = False,
    swapped: bool = False,
    wrong_golden: bool = False,
    slow: int = 0,
    memory_mb: int = 0,
    profile: bool = True,
    reference: bool = True,
    golden_frames: int = 4,
    embedding: bool = False,
    changes: dict[str, Any] | None = None,
) -> Bundle:
    """Write a bundle into ``root`` (created) and open it.

    Args:
        root: folder of the bundle.
        name: of the model.
        version: changes the weights in the last digits, so that the digest differs.
        head: ``yolov5u`` or ``yolov5-anchor``; both give the same detections.
        nan: weights with NaN; golden set and profile are those of the healthy model.
        swapped: the first two classes change places; golden set as above.
        wrong_golden: the golden detections are 25 pixels off, the model is healthy.
        slow: so many extra 256 x 256 matrix products per frame (about 0.5 ms each).
        memory_mb: so many MB more at each run.
        profile: whether there is a profile.
        reference: whether there is a reference picture.
        golden_frames: how many golden frames.
        embedding: whether the graph also gives the mean of each class's cells.
        changes: top-level fields of the manifest to replace.
    """
    for folder in ("model", "golden"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    document = _document(name, version, head, golden_frames)
    _write_model(root / "model/fp32.onnx", _weights(version), head, embedding=embedding)
    files = ["model/fp32.onnx"]
    if reference:
        cv2.imwrite(str(root / "reference.png"), background())
        document["reference_image"] = "reference.png"
        files.append("reference.png")
    if embedding:
        document["embedding"] = {"output": "embedding", "channels": 3, "path": "embedding.json"}
        files.append("embedding.json")
    healthy = Bundle(root, _manifest(root, document, [*files]))
    if embedding:
        (root / "embedding.json").write_bytes(make_projection(healthy).to_bytes())
    files += _write_golden(healthy, golden_frames, 25.0 if wrong_golden else 0.0)
    if profile:
        (root / "profile.json").write_bytes(make_profile(healthy).to_bytes())
        document["profile"] = "profile.json"
        files.append("profile.json")
    weights = _weights(version)
    if nan:
        weights[0, 0, 3, 3] = np.nan
    if swapped:
        weights = weights[[1, 0, 2]]
    _write_model(
        root / "model/fp32.onnx",
        weights,
        head,
        slow=slow,
        memory_mb=memory_mb,
        embedding=embedding,
    )
    document |= changes or {}
    manifest = _manifest(root, document, files)
    (root / "manifest.json").write_bytes(manifest.to_bytes())
    return Bundle.open(root)


def make_profile(bundle: Bundle, frames: int = _PROFILE_FRAMES) -> Profile:
    """The profile of ``frames`` pictures, counted as a device counts them."""
    histograms = Histograms(len(CLASSES))
    detector, projection = Detector.load(bundle, threads=1), Projection.of(bundle)
    image = bundle.manifest.reference_image
    gate = Gate(cv2.imread(str(bundle.path(image))) if image else None)
    for number in range(1000, 1000 + frames):
        picture = frame(number)
        verdict = gate.check(picture)
        observe_input(histograms, picture_values(verdict.statistics, verdict.ssim))
        result = detector.detect(picture)
        if projection is not None and result.embedding is not None:
            observe_input(histograms, projection.features(result.embedding))
        observe_output(
            histograms,
            result.detections,
            confidence=bundle.manifest.decode.confidence,
            width=WIDTH,
            height=HEIGHT,
        )
    detector.close()
    return Profile(histograms, f"{frames} generated frames")


def make_projection(bundle: Bundle, frames: int = _PROFILE_FRAMES) -> Projection:
    """What the builder would make of the embeddings of the profile's pictures."""
    detector = Detector.load(bundle, threads=1)
    pictures = [frame(number) for number in range(1000, 1000 + frames)]
    found = [detector.detect(picture).embedding for picture in pictures]
    detector.close()
    return Projection.fit([one for one in found if one is not None])


def _write_golden(bundle: Bundle, frames: int, shift: float) -> list[str]:
    detector = Detector.load(bundle, threads=1)
    expected = []
    for number in range(frames):
        file = f"golden/{number:04d}.png"
        picture = frame(number, squares=number % 4)
        cv2.imwrite(str(bundle.path(file)), picture)
        detections = detector.detect(picture).detections
        detections[:, :4] += shift
        expected.append(GoldenFrame(file, detections))
    detector.close()
    bundle.path("golden/expected.json").write_bytes(Golden(tuple(expected)).to_bytes())
    return ["golden/expected.json", *(item.file for item in expected)]


def _document(name: str, version: int, head: str, golden_frames: int) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": name,
        "version": version,
        "created": "2026-01-01T00:00:00Z",
        "classes": list(CLASSES),
        "head": head,
        "input": {
            "width": SIDE, "height": SIDE, "layout": "NCHW", "colour": "RGB", "scale": 1 / 255,
            "pad_value": 114, "interpolation": "linear", "scaleup": True, "rounding": "round-0.1",
        },
        "decode": {"confidence": 0.25, "iou": 0.7, "max_detections": 300, "floor": 0.05},
        "variants": [
            {"id": "fp32", "precision": "fp32", "path": "model/fp32.onnx", "opset": 17,
             "parity": {}}
        ],
        "golden": {
            "path": "golden/expected.json", "reference": "fp32-graph", "frames": golden_frames,
            "synthetic": False, "tolerance": {"fp32": {"iou": 0.95, "score": 0.02}},
        },
        "source": {"registry": "generated"},
        "license": "Apache-2.0",
    }  # fmt: skip


def _manifest(root: Path, document: dict[str, Any], files: list[str]) -> Manifest:
    entries = [
        {
            "path": path,
            "size": (root / path).stat().st_size if (root / path).exists() else 0,
            "sha256": _sha256(root / path),
        }
        for path in sorted({*files, "golden/expected.json"})
    ]
    return Manifest.from_document({**document, "files": entries})


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes() if path.exists() else b"").hexdigest()


def _weights(version: int) -> np.ndarray:
    """(3, 3, 8, 8): each class is its colour's mean minus the mean of the other two, times 14."""
    weights = np.full((3, 3, _CELL, _CELL), -7.0, np.float32)
    weights[range(3), range(3)] = 14.0
    jitter = np.random.default_rng(version).normal(0, 1e-4, weights.shape)
    return (weights / _CELL**2 + jitter / _CELL**2).astype(np.float32)


def _write_model(
    path: Path,
    weights: np.ndarray,
    head: str,
    *,
    slow: int = 0,
    memory_mb: int = 0,
    embedding: bool = False,
) -> None:
    """sigmoid(conv(picture) - 6) per cell of 8 x 8 pixels; boxes of 10 pixels around the cells."""
    cells = SIDE // _CELL
    count = cells * cells
    centres = (np.arange(cells, dtype=np.float32) + 0.5) * _CELL
    boxes = np.full((1, 4, count), 10.0, np.float32)
    boxes[0, 0], boxes[0, 1] = np.tile(centres, cells), np.repeat(centres, cells)
    constants = {
        "weights": weights,
        "bias": np.full(3, -6.0, np.float32),
        "boxes": boxes,
        "flat": np.asarray([1, 3, count], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["images", "weights", "bias"], ["cells"], strides=[8, 8]),
        helper.make_node("Reshape", ["cells", "flat"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
    ]
    nodes += _burden(constants, slow, memory_mb)
    nodes += _anchor_head(constants) if head == "yolov5-anchor" else _v5u_head()
    shape = [1, count, 8] if head == "yolov5-anchor" else [1, 7, count]
    outputs = [helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)]
    if embedding:
        nodes += [
            helper.make_node("GlobalAveragePool", ["cells"], ["means"]),
            helper.make_node("Flatten", ["means"], ["embedding"]),
        ]
        outputs.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, 3]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        outputs,
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _v5u_head() -> list[onnx.NodeProto]:
    return [helper.make_node("Concat", ["boxes", "loaded"], ["output0"], axis=1)]


def _anchor_head(constants: dict[str, np.ndarray]) -> list[onnx.NodeProto]:
    """Objectness is the root of the best score, so that objectness x class is the v5u score."""
    return [
        helper.make_node("ReduceMax", ["loaded"], ["best"], axes=[1], keepdims=1),
        helper.make_node("Sqrt", ["best"], ["objectness"]),
        helper.make_node("Div", ["loaded", "objectness"], ["classes"]),
        helper.make_node("Concat", ["boxes", "objectness", "classes"], ["columns"], axis=1),
        helper.make_node("Transpose", ["columns"], ["output0"], perm=[0, 2, 1]),
    ]


def _burden(constants: dict[str, np.ndarray], slow: int, memory_mb: int) -> list[onnx.NodeProto]:
    """Work and memory that depend on the picture, so that no optimiser removes them, times 0."""
    constants["nothing"] = np.zeros(1, np.float32)
    if slow:
        constants["spread"] = np.full((256, 256), 1 / 256, np.float32)
    constants["square"] = np.asarray([256, 256], np.int64)
    constants["many"] = np.asarray([max(1, memory_mb * 262_144)], np.int64)
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Expand", ["mean", "square"], ["product0"]),
    ]
    nodes += [
        helper.make_node("MatMul", [f"product{step}", "spread"], [f"product{step + 1}"])
        for step in range(slow)
    ]
    nodes += [
        helper.make_node("ReduceMean", [f"product{slow}"], ["worked"], keepdims=0),
        helper.make_node("Expand", ["worked", "many"], ["held"]),
        helper.make_node("ReduceMean", ["held"], ["spent"], keepdims=0),
        helper.make_node("Mul", ["spent", "nothing"], ["zero"]),
        helper.make_node("Add", ["scores", "zero"], ["loaded"]),
    ]
    return nodes
