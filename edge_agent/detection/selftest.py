"""The self-test: does this bundle, on this machine, say what its golden set says?

``python -m edge_agent.detection.selftest BUNDLE [--variant fp32] [--providers cpu]
[--fallback refuse] [--threads 0] [--memory-mb N] [--json]``

The updater runs it as a child process before a release may go live; the builder and
``edge-agent doctor`` call `run`. Exit code 0: passed; 5: refused, with the reasons.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_agent.backends.base import TOO_LARGE
from edge_agent.bundle import Bundle
from edge_agent.detection.detector import Detector, Result
from edge_agent.detection.golden import Golden, compare
from edge_agent.detection.preprocess import Image
from edge_agent.errors import BundleError, ModelError, OutpostError
from edge_agent.monitors.profile import Profile
from edge_agent.sources.folder import read_picture

REFUSED = ModelError.exit_code
MOST_FAILURES = 20
_TIMED_FRAMES = 20
_TIMED_S = 2.0


@dataclass(frozen=True)
class SelfTestReport:
    """What came out.

    Attributes:
        failures: in words; empty when the bundle passed.
        latency_p50_ms: preprocess + inference + postprocess per golden frame, 0 when none ran.
        latency_p95_ms: the same, nearly the worst.
        peak_rss_mb: of this process.
        provider: the active one, "" when the model was never loaded.
        nonfinite: golden frames whose raw output held NaN or Inf.
        frames: golden frames that were compared.
    """

    failures: tuple[str, ...] = ()
    latency_p50_ms: float = 0.0
    latency_p95_ms: float = 0.0
    peak_rss_mb: float = 0.0
    provider: str = ""
    nonfinite: int = 0
    frames: int = 0

    @property
    def ok(self) -> bool:
        """Whether the bundle may be used here."""
        return not self.failures

    def to_document(self) -> dict[str, Any]:
        """The JSON form that a parent process reads."""
        return {
            "ok": self.ok,
            "failures": list(self.failures),
            "latency_ms": {"p50": self.latency_p50_ms, "p95": self.latency_p95_ms},
            "peak_rss_mb": self.peak_rss_mb,
            "provider": self.provider,
            "nonfinite": self.nonfinite,
            "frames": self.frames,
        }


def run(
    bundle: Bundle,
    *,
    variant: str = "auto",
    providers: tuple[str, ...] = ("cpu",),
    fallback: str = "refuse",
    threads: int = 0,
) -> SelfTestReport:
    """Verify the bundle's files, load it, run its golden set and measure its latency.

    The profile and the reference picture are read too: the agent will need them.

    Returns:
        The report; what the bundle does wrong is in its failures, never an exception.
    """
    try:
        bundle.verify(variant=variant)
        Profile.of(bundle, variant)
        golden = Golden.read(bundle, variant)
        if bundle.manifest.reference_image is not None:
            _picture(bundle, bundle.manifest.reference_image)
        detector = Detector.load(
            bundle, variant=variant, providers=providers, fallback=fallback, threads=threads
        )
    except (OutpostError, MemoryError) as error:
        return SelfTestReport((_words(error),), peak_rss_mb=peak_rss_mb())
    try:
        detector.warm_up()
        # One picture at a time: dozens of full-size frames are more memory than the model needs.
        results = [detector.detect(_picture(bundle, frame.file)) for frame in golden.frames]
        times = _latencies(bundle, detector, golden, results)
    except (OutpostError, MemoryError) as error:
        return SelfTestReport((_words(error),), 0, 0, peak_rss_mb(), detector.provider)
    finally:
        detector.close()
    precision = bundle.manifest.variant(variant).precision
    return SelfTestReport(
        failures=judge(bundle, golden, results, precision),
        latency_p50_ms=round(statistics.median(times), 3),
        latency_p95_ms=round(times[int(0.95 * (len(times) - 1))], 3),
        peak_rss_mb=peak_rss_mb(),
        provider=detector.provider,
        nonfinite=sum(result.nonfinite for result in results),
        frames=len(results),
    )


def judge(
    bundle: Bundle, golden: Golden, results: Sequence[Result], precision: str
) -> tuple[str, ...]:
    """What is wrong with the results on the golden frames, in words. Pure."""
    manifest = bundle.manifest
    failures = []
    if broken := sum(result.nonfinite for result in results):
        failures.append(
            f"the network's output holds NaN or Inf on {broken} of {len(results)} golden frames"
        )
    for frame, result in zip(golden.frames, results, strict=True):
        faults = compare(
            frame.detections,
            result.detections,
            manifest.golden.tolerance[precision],
            manifest.decode.confidence,
        )
        failures += [f"{frame.file}: {fault}" for fault in faults]
    more = len(failures) - MOST_FAILURES
    return (*failures[:MOST_FAILURES], *([f"and {more} more"] if more > 0 else []))


def peak_rss_mb() -> float:
    """Peak resident memory of this process in MiB.

    From /proc where there is one: after a fork, getrusage also counts what the parent held.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return round(_status().get("VmHWM", usage) / 2**20, 1)


def limit_memory(megabytes: int) -> None:
    """Let allocations fail about where this process's resident memory would pass ``megabytes``.

    RLIMIT_DATA counts reserved address space, and the libraries reserve some 200 MB that they never
    touch, so what is reserved beyond the resident memory once they are loaded is allowed on top,
    and a stack for each thread that is still to come.
    """
    with contextlib.suppress(ImportError):
        import onnxruntime  # noqa: F401
    status = _status()
    reserved = max(0, status.get("VmData", 0) - status.get("VmRSS", 0))
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    stacks = (os.cpu_count() or 1) * min(max(stack, 0), 8 << 20)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = (megabytes << 20) + reserved + stacks
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _status() -> dict[str, int]:
    """The memory lines of /proc/self/status in bytes; empty where there is no such file."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.startswith("Vm"))
    return {name.rstrip(":"): int(value) * 1024 for name, value, *_ in fields}


def _latencies(
    bundle: Bundle, detector: Detector, golden: Golden, results: Sequence[Result]
) -> list[float]:
    times = [result.total_ms for result in results]
    deadline = time.monotonic() + _TIMED_S
    while len(times) < _TIMED_FRAMES and time.monotonic() < deadline:
        frame = golden.frames[len(times) % len(golden.frames)]
        times.append(detector.detect(_picture(bundle, frame.file)).total_ms)
    return sorted(times)


def _picture(bundle: Bundle, file: str) -> Image:
    picture = read_picture(bundle.path(file))
    if picture is None:
        raise BundleError(f"{file} cannot be read as a picture; build the bundle again")
    return picture


def _words(error: BaseException) -> str:
    return TOO_LARGE if isinstance(error, MemoryError) else str(error)


def _within(report: SelfTestReport, memory_mb: int) -> SelfTestReport:
    """The report with the limit's name in it, and refused when the limit was passed anyway."""
    failures = [
        text.replace(TOO_LARGE, f"needs more memory than {memory_mb} MB")
        for text in report.failures
    ]
    if report.ok and report.peak_rss_mb > memory_mb:
        peak = f"its peak was {report.peak_rss_mb:.0f} MB"
        failures.append(f"needs more memory than {memory_mb} MB: {peak}")
    return replace(report, failures=tuple(failures))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m edge_agent.detection.selftest", description=__doc__
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--variant", default="auto")
    parser.add_argument("--providers", default="cpu", help="in the wanted order, with commas")
    parser.add_argument("--fallback", default="refuse", choices=("refuse", "allow"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--memory-mb", type=int, default=0, help="0: no limit")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a command; returns the exit code."""
    options = _arguments(arguments)
    providers = tuple(options.providers.split(","))
    # CUDA reserves far more addresses than it uses; there it is the updater's watch that counts.
    if options.memory_mb and providers == ("cpu",):
        limit_memory(options.memory_mb)
    try:
        report = run(
            Bundle.open(options.bundle),
            variant=options.variant,
            providers=providers,
            fallback=options.fallback,
            threads=options.threads,
        )
    except OutpostError as error:
        report = SelfTestReport((str(error),), peak_rss_mb=peak_rss_mb())
    if options.memory_mb:
        report = _within(report, options.memory_mb)
    if options.json:
        print(json.dumps(report.to_document()))
    else:
        print("passed" if report.ok else "refused: " + "; ".join(report.failures))
    return 0 if report.ok else REFUSED


if __name__ == "__main__":
    sys.exit(main())
