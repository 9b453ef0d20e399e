"""The house keeps its shape: who may import whom, and what may be absent."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "edge_agent": set(),
    "builder": {"edge_agent"},
    "registry_sync": {"edge_agent"},
}
OPTIONAL = (
    "torch",
    "ultralytics",
    "mlflow",
    "tensorrt",
    "onnxruntime",
    "paho",
    "onnx",
    "skimage",
    "tensorrt_rtx",
    "faster_coco_eval",
    "av",
    "gi",
)


def imported_packages(path: Path) -> set[str]:
    """Top-level names that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_in_one_direction(package):
    """Packages import each other as the design says; none imports deploy or tests."""
    forbidden = (set(ALLOWED) | {"deploy", "tests", "benchmarks"}) - ALLOWED[package] - {package}
    wrong = {
        str(path.relative_to(ROOT)): sorted(imported_packages(path) & forbidden)
        for path in (ROOT / package).rglob("*.py")
        if imported_packages(path) & forbidden
    }
    assert wrong == {}


@pytest.mark.parametrize("package", ALLOWED)
def test_every_module_imports_without_optional_packages(package):
    """Each module can be imported where torch, mlflow, onnxruntime and the like are absent."""
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__main__.py"
    )
    script = (
        "import sys, importlib\n"
        f"for name in {OPTIONAL!r}: sys.modules[name] = None\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_device_packages_do_not_name_agpl_packages():
    """Nothing AGPL can come onto a device: ultralytics is named only by the reference extra."""
    for package in ("edge_agent", "registry_sync"):
        for path in (ROOT / package).rglob("*.py"):
            assert not imported_packages(path) & {"ultralytics", "jtop", "yolov5", "torch"}, path


def test_files_stay_small():
    """No file has more than 400 lines."""
    tops = ("edge_agent", "builder", "registry_sync", "deploy", "benchmarks", "tests")
    long = {
        str(path.relative_to(ROOT)): count
        for top in tops
        for path in (ROOT / top).rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert long == {}


def test_onnx_runtime_reports_nothing_to_its_maker(tmp_path):
    """Its telemetry would leave a session's id in TMPDIR (and ask the network): there is none."""
    pytest.importorskip("onnxruntime")
    graph = (
        "import onnxruntime; from onnx import helper as h;"
        " v = [h.make_tensor_value_info(name, 1, [1]) for name in 'xy'];"
        " g = h.make_graph([h.make_node('Identity', ['x'], ['y'])], 'g', v[:1], v[1:]);"
        " m = h.make_model(g, opset_imports=[h.make_opsetid('', 17)], ir_version=8);"
        " onnxruntime.InferenceSession(m.SerializeToString())"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    done = subprocess.run(
        [sys.executable, "-c", f"import edge_agent; {graph}"],
        capture_output=True, text=True, cwd=ROOT, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
