"""Agreement, drift and mAP against the original in PyTorch, streamed through one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer

import numpy as np
import psutil
import pytest

from builder import build as build_module
from builder import worker
from builder.accuracy import coco
from builder.accuracy.agreement import agree
from builder.accuracy.labels import read_labels
from builder.build import build
from builder.cli import main
from builder.inspect import proof_text
from builder.options import BuildOptions
from builder.progress import Silent
from builder.prove import run_reference
from builder.reprove import prove
from builder.runner import Runner
from builder.streamed import original
from edge_agent.errors import ModelError
from tests.builder.test_prove import ROOT, needs_torch
from tests.bundles import CLASSES, HEIGHT, WIDTH, frame
from tests.schemas import faults

NAMES = [f"{number:04d}.png" for number in range(24)]
SHAPE = (1, 3, 64, 96)
FIGURES = ("agreement", "boxes", "map50", "map50_95", "map50_loss_points", "map50_95_loss_points")


@pytest.fixture(scope="module")
def graph(bundle) -> Runner:
    """The fp32 graph."""
    return Runner(bundle.manifest, bundle.root / "model/fp32.onnx")


def look(runner, raw_of, floor=coco.FLOOR):
    """Detections of every frame, straight on, from raw outputs by frame number."""
    found = {}
    for number, name in enumerate(NAMES):
        _, placement = runner.tensor(frame(number))
        found[name] = runner.detections(raw_of(number), placement, floor=floor)[0]
    return found


def raw_of_graph(runner):
    """Its raw output by frame number."""
    return lambda number: runner.raw(runner.tensor(frame(number))[0])


@pytest.fixture(scope="module")
def labels(graph, tmp_path_factory) -> Path:
    """What the graph finds, every second frame's boxes off by a fifth: at no limit of the IoU."""
    folder = tmp_path_factory.mktemp("labels")
    for number, rows in enumerate(look(graph, raw_of_graph(graph)).values()):
        lines = [
            f"{kind:.0f} {((x0 + x1) / 2 + (number % 2) * (x1 - x0) / 5) / WIDTH}"
            f" {(y0 + y1) / 2 / HEIGHT} {(x1 - x0) / WIDTH} {(y1 - y0) / HEIGHT}"
            for x0, y0, x1, y1, score, kind in rows.tolist()
            if score > 0.25
        ]
        (folder / f"{number:04d}.txt").write_text("\n".join(lines))
    return folder


def figures(runner, labels, before, after):
    """What the manifest should say of detections beside those of the original."""
    truth = read_labels(labels, NAMES, 3)
    sizes = dict.fromkeys(NAMES, (WIDTH, HEIGHT))
    first, second = (coco.measure(truth, side, sizes, CLASSES) for side in (before, after))
    agreement = agree(before, after, confidence=0.25, classes=CLASSES)
    lost = [first.map50 - second.map50, first.map50_95 - second.map50_95]
    return {
        "agreement": round(agreement.share, 4), "boxes": agreement.boxes,
        "map50": round(second.map50, 4), "map50_95": round(second.map50_95, 4),
        "map50_loss_points": round(100 * lost[0], 2) + 0.0,
        "map50_95_loss_points": round(100 * lost[1], 2) + 0.0,
    }  # fmt: skip


def figures_of(variant):
    """The same of a manifest."""
    return {name: variant.parity[name] for name in FIGURES}


class Bars(Silent):
    """Notes which bars there were, and what was said."""

    def __init__(self):
        self.bars, self.said = [], []

    def track(self, items, what, total):
        self.bars.append((what, total))
        return items

    def say(self, text):
        self.said.append(text)


@needs_torch
def test_every_variant_is_held_against_pytorch(squares, frames, labels, tmp_path):
    """All figures are those of PyTorch's own detections; fp32 has them, too."""
    options = BuildOptions(
        reference_data=frames, labels=labels, precisions=("fp16",), prove="require"
    )
    bars = Bars()
    built = build(str(squares), tmp_path / "b", options, progress=bars)
    fp32, fp16 = built.bundle.manifest.variants
    runner = Runner(built.bundle.manifest, built.bundle.root / "model/fp32.onnx")
    tensors = [runner.tensor(frame(number))[0] for number in range(24)]
    theirs = look(runner, run_reference(squares, tensors).__getitem__)
    for variant in (fp32, fp16):
        own = Runner(built.bundle.manifest, built.bundle.root / variant.path)
        expected = figures(runner, labels, theirs, look(own, raw_of_graph(own)))
        assert figures_of(variant) == expected
        assert variant.parity["detections_reference"] == "pytorch"
        assert 0.3 < variant.parity["map50_95"] < 0.9
        assert "against PyTorch" in proof_text(variant)
    assert abs(fp32.parity["map50_95_loss_points"]) <= 0.01 and fp32.parity["agreement"] == 1.0
    assert ("pytorch", 24) in bars.bars
    assert any(text.startswith("PyTorch: mAP50 ") for text in bars.said)
    assert faults("manifest", dict(built.bundle.manifest.document)) == []
    again = build(str(squares), tmp_path / "again", options)
    assert again.bundle.manifest.digest == built.bundle.manifest.digest


def test_the_loss_is_that_of_the_original(squares, frames, labels, graph, tmp_path, monkeypatch):
    """An original that calls each class by another name: what it says is the reference."""

    @contextmanager
    def renaming(checkpoint, given, output):
        assert (checkpoint.name, given) == ("squares.pt", (1, 3, 64, 64))
        yield lambda tensor: renamed(graph.raw(tensor))

    def renamed(raw):
        assert raw.shape[1] == 7
        return np.concatenate([raw[:, :4], np.roll(raw[:, 4:], 1, axis=1)], axis=1)

    monkeypatch.setattr(build_module, "obstacle", lambda: None)
    monkeypatch.setattr(build_module, "run_reference", lambda _, all_: list(map(graph.raw, all_)))
    monkeypatch.setattr(build_module, "original", renaming)
    built = build(str(squares), tmp_path / "b", BuildOptions(reference_data=frames, labels=labels))
    (fp32,) = built.bundle.manifest.variants
    ours = raw_of_graph(graph)
    theirs = look(graph, lambda number: renamed(ours(number)))
    assert figures_of(fp32) == figures(graph, labels, theirs, look(graph, ours))
    assert fp32.parity["map50_95_loss_points"] < -30 and fp32.parity["agreement"] == 0.0


@needs_torch
def test_a_later_proof_leaves_the_accuracy_as_it_is(squares, frames, labels, tmp_path, capsys):
    """`prove --write` has no reference images: raw outputs are PyTorch's then, mAP is not."""
    options = BuildOptions(
        reference_data=frames, labels=labels, precisions=("fp16",), prove="never"
    )
    built = build(str(squares), tmp_path / "b", options).bundle
    _, later = prove(built, squares, write=True)
    for before, after in zip(built.manifest.variants, later.manifest.variants, strict=True):
        assert before.parity["detections_reference"] == "fp32-graph"
        assert after.parity["detections_reference"] == "fp32-graph"
    assert later.manifest.variants[0].parity["reference"] == "pytorch"
    assert main(["inspect", str(later.root)]) == 0
    assert "points of 100 against the fp32 graph" in capsys.readouterr().out


@needs_torch
def test_one_process_answers_them_all(squares, graph):
    """Each answer belongs to its tensor, and the worker is gone afterwards."""
    tensors = [graph.tensor(frame(number))[0] for number in range(5)]
    output = graph.raw(tensors[0]).shape
    expected = run_reference(squares, tensors)
    with original(squares, tensors[0].shape, output) as ask:
        answers = [ask(one) for one in (*tensors, tensors[0])]
    for ours, theirs in zip(answers, [*expected, expected[0]], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert not np.allclose(answers[0], answers[1])
    with (
        pytest.raises(ModelError, match=r"gives float32 of \(1, 7, 64\) for a picture, not"),
        original(squares, tensors[0].shape, (1, 7, 9)) as ask,
    ):
        ask(tensors[0])


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("exit 3", "PyTorch cannot run it: exit code 3; "),
        ("echo 'no such class' >&2; exit 1", "PyTorch cannot run it: no such class; .*prove never"),
        (
            "echo nonsense; exec cat >/dev/null",
            "PyTorch cannot run it: its answer begins with b'nonsense'",
        ),
        ("exec sleep 60", "PyTorch gave no answer in 1 s; build with --prove never"),
    ],
)
def test_a_worker_that_does_not_answer(tmp_path, monkeypatch, program, reason):
    """One line with its last words, or with the time it was given."""
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\n{program}\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(worker, "TIMEOUT_S", 1.0)
    with (
        pytest.raises(ModelError, match=rf"a\.pt: {reason}"),
        original(Path("a.pt"), SHAPE, (1, 7, 20)) as ask,
    ):
        ask(np.zeros(SHAPE, np.float32))


def test_ctrl_c_while_the_watchdog_starts(tmp_path, monkeypatch):
    """A watchdog that has started is called off all the same, and keeps no process alive."""
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    start, started = Timer.start, []

    def interrupted(self):
        start(self)
        started.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(Timer, "start", interrupted)
    with (
        pytest.raises(KeyboardInterrupt),
        original(Path("a.pt"), SHAPE, (1, 7, 20)) as ask,
    ):
        ask(np.zeros(SHAPE, np.float32))
    (watchdog,) = started
    watchdog.join(timeout=10)
    assert watchdog.daemon and not watchdog.is_alive()


@needs_torch
def test_the_graph_of_a_trained_model_loses_nothing(tmp_path):
    """The demo's model on its own labelled pictures, which lie beside its labels."""
    line = ROOT / "tests/data/line"
    options = BuildOptions(reference_data=line, labels=line, prove="require")
    built = build(str(ROOT / "deploy/demo/models/defects-v1.pt"), tmp_path / "b", options)
    parity = built.bundle.manifest.variants[0].parity
    assert parity["detections_reference"] == "pytorch" and parity["labelled_images"] == 8
    assert abs(parity["map50_loss_points"]) <= 0.01 and parity["map50"] > 0.5
    assert abs(parity["map50_95_loss_points"]) <= 0.01
    assert parity["agreement"] == 1.0 and parity["boxes"] > 20
    assert max(map(abs, parity["score_drift"].values())) <= 1e-4


@needs_torch
@pytest.mark.parametrize(("sent", "everybody"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_signals_end_the_stream(squares, frames, labels, tmp_path, sent, everybody):
    """Ctrl-C reaches PyTorch's process too, systemd's stop does not: both leave nothing."""
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "builder", "build", str(squares), "--prove", "require"]
    command += ["-o", str(tmp_path / "out" / "b"), "--reference-data", str(frames)]
    command += ["--labels", str(labels), "--precision", "fp16"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        while not (workers := streaming(process.pid)):
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)
        (os.killpg if everybody else os.kill)(process.pid, sent)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert said.endswith("edge-builder: interrupted\n") and "Traceback" not in said
    # One that was only being started has no killer: it ends when it finds nobody at its stdin.
    assert psutil.wait_procs(workers, timeout=20)[1] == []
    assert list((tmp_path / "out").iterdir()) == list((tmp_path / "tmp").iterdir()) == []


def streaming(pid: int) -> list[psutil.Process]:
    """Children that run the original over pictures."""
    found = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.Error):  # one that has ended meanwhile
            if "stream" in child.cmdline():
                found.append(child)
    return found
