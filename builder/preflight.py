"""What can be known of a build before anything is fetched or computed: all of it, at once.

``build`` asks before it resolves its source, ``watch`` before it looks at the registry, so that a
typing error costs a second instead of a download, and no version is blamed for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from builder import pack
from builder.accuracy.labels import read_labels
from builder.accuracy.limits import read_limits
from builder.accuracy.saliency import graph_before
from builder.embedding import check_wanted
from builder.engines import check_engines
from builder.images import Folder, read_picture
from builder.options import BuildOptions
from builder.precision.calibration import LEAST
from builder.prove import obstacle
from builder.sources.reference import parse_reference
from builder.worker import MISSING, torch_available
from edge_agent.bundle import NAME_PATTERN, Bundle
from edge_agent.errors import ModelError, OutpostError, UsageError

_ANY_CLASS = 1 << 16
"""Class ids are held against the model's once that is here."""


def check_options(options: BuildOptions, source: str, output: Path | None = None) -> None:
    """Fail for what every build with these options would fail for.

    Args:
        options: of the build.
        source: as `builder.sources.resolve` takes it; it is not asked for anything.
        output: the bundle's folder; None where the caller has a folder of its own.

    Raises:
        OutpostError: of the kind that the first fault has; every fault is in the message.
    """
    faults: list[OutpostError] = []
    for check in _checks(options, source, output):
        try:
            check()
        except OutpostError as error:
            faults.append(error)
    if faults:
        raise type(faults[0])("; ".join(str(one) for one in faults))


def check_name(name: str) -> None:
    """Refuse a model's name that cannot be a folder's; `UsageError`."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise UsageError(
            f"model name {name!r} cannot be a file name; give one with --name (letters, digits,"
            " dot, underscore, dash)"
        )


def _checks(options: BuildOptions, source: str, output: Path | None) -> list[Callable[[], object]]:
    ready = source.lower().endswith(".onnx")
    checks: list[Callable[[], object]] = [
        partial(read_limits, options.limits),
        partial(_check_data, options),
        partial(_check_torch, options, source, ready=ready),
        partial(check_wanted, options, ready=ready),
    ]
    if output is not None:
        checks.append(partial(pack.check_replaceable, output))
    if options.name is not None:
        checks.append(partial(check_name, options.name))
    elif source.startswith("models:"):
        checks.append(lambda: check_name(parse_reference(source).name))
    if options.reference_image is not None:
        checks.append(partial(read_picture, options.reference_image))
    if options.previous is not None:
        checks.append(partial(_check_previous, options.previous))
    if options.engine is not None:
        checks.append(partial(check_engines, options.engine))
    return checks


def _check_data(options: BuildOptions) -> None:
    """Reference data, and what cannot be without: labels, int8."""
    named = [name for name in options.precisions if name.startswith("int8")]
    if options.reference_data is None:
        if options.labels is not None:
            raise UsageError("--labels are of the reference images; give --reference-data too")
        if named:
            raise UsageError(
                f"--precision {named[0]} is calibrated on at least {LEAST} reference images; give"
                " --reference-data, or leave it out"
            )
        return
    pictures = Folder(options.reference_data)
    if options.strict and named and len(pictures) < LEAST:
        raise ModelError(
            f"--strict: {named[0]} is calibrated on at least {LEAST} reference images,"
            f" {options.reference_data} has {len(pictures)}; give more, or leave it out"
        )
    if options.labels is not None:
        names = [path.relative_to(pictures.root).as_posix() for path in pictures.paths]
        read_labels(options.labels, names, _ANY_CLASS)


def _check_torch(options: BuildOptions, source: str, *, ready: bool) -> None:
    """What wants PyTorch, and a checkpoint for it."""
    if options.exporter == "ultralytics":
        if not torch_available():
            raise UsageError(f"--exporter ultralytics: {MISSING}")
        if ready:
            raise UsageError(f"{source}: is exported already; build it without --exporter")
    if options.prove == "require":
        why = "an ONNX file came without its checkpoint" if ready else obstacle()
        if why:
            raise UsageError(f"--prove require: {why}")


def _check_previous(root: Path) -> None:
    graph_before(Bundle.open(root))
