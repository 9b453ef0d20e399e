"""Outpost: three packages, one distribution. `pyproject.toml` holds tool settings only."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "([^"]+)"', (HERE / "edge_agent/__init__.py").read_text(encoding="utf-8")
)

# What runs on a device. onnxruntime / TensorRT come from the system there, or from an extra below.
DEVICE = [
    "click>=8.1",
    "numpy>=1.26",
    "opencv-python-headless>=4.8",
    "paho-mqtt>=2.1",
    "psutil>=5.9",
    "tuf>=7.0.1",
    "securesystemslib[crypto]>=1.3",
    "tomli>=2.0; python_version < '3.11'",
]
# mlflow-skinny with SQLAlchemy reads a SQLite registry and any server; the full package adds
# 400 MB that a builder never imports (docs/decisions.md).
BUILDER = [
    "mlflow-skinny>=3.1",
    "sqlalchemy>=2.0",
    "alembic>=1.13",
    "onnx>=1.17",
    "onnxruntime>=1.20",
    "faster-coco-eval>=1.7",
    "tqdm>=4.66",
    "pyyaml>=6.0",
]
# `edge-builder dataset check --cross-check`: scikit-image brings SciPy, 220 MB in all.
DATASET = ["scikit-image>=0.24"]
# Compiles engines ahead of time, without a GPU; no wheels for anything but x86-64.
TRT_RTX = ["tensorrt-rtx-cu12>=1.5; platform_machine == 'x86_64' and sys_platform == 'linux'"]
# Network cameras (rtsp://, http://). Its wheels carry x264 and x265, which are GPL-2.0 and never
# called here (docs/decisions.md).
STREAM = ["av>=14"]
# model-signing imports OpenSSL without declaring it.
PROVENANCE = ["model-signing>=1.1.1", "pyopenssl>=24"]
# AGPL-3.0: ultralytics. Only this extra, never on a device.
REFERENCE = ["torch>=2.4", "ultralytics-opencv-headless>=8.3"]

setup(
    name="outpost-edge",
    version=VERSION.group(1) if VERSION else "0",
    description="Ship YOLOv5 from MLflow to Jetson-class devices, prove it, watch it, roll it back",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["edge_agent*", "builder*", "registry_sync*"]),
    package_data={
        "edge_agent": ["py.typed", "schemas/*.json", "page/static/*"],
        "builder": ["py.typed", "page/style.css"],
        "registry_sync": ["py.typed"],
    },
    install_requires=DEVICE,
    extras_require={
        "cpu": ["onnxruntime>=1.20"],
        "gpu": ["onnxruntime-gpu>=1.20"],
        "tensorrt": ["tensorrt>=10"],
        "trt-rtx": TRT_RTX,
        "builder": BUILDER,
        "dataset": DATASET,
        "reference": REFERENCE,
        "provenance": PROVENANCE,
        "stream": STREAM,
        # scikit-image: the photographs that the line's pictures are made of
        "demo": [*BUILDER, *DATASET, "amqtt>=0.11", "websockets>=13"],
        "test": [
            *["pytest>=8", "hypothesis>=6.100", "ruff>=0.8", "mypy>=1.13", "jsonschema>=4.20"],
            *DATASET,
            "websockets>=13",
            "mlflow[auth]>=3.1",  # a real server with passwords; the version of mlflow-skinny
            *["piq>=0.8", "sewar>=0.4.6"],  # independent picture metrics
            *TRT_RTX,
            *PROVENANCE,
            *STREAM,
        ],
    },
    entry_points={
        "console_scripts": [
            "edge-agent=edge_agent.cli:main",
            "edge-builder=builder.__main__:main",
            "registry-sync=registry_sync.cli:main",
        ]
    },
)
