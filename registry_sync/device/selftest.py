"""The self-test in a child process: nothing that a model does there can hurt the updater.

`edge_agent.detection.selftest` runs the golden set; here it gets a memory limit and a time limit,
and its death is put into words.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from edge_agent.checked import Fields
from edge_agent.config import Model, SelfTest
from edge_agent.config.models import COMPILING

_POLL_S = 0.02
_NICE = 10  # inference on the line goes first
_REFUSED = 5
_MOST_REASONS = 2
SLOW_LEAST_MS = 5.0  # below, a ratio measures the machine's mood


@dataclass(frozen=True)
class Report:
    """What a self-test found.

    Attributes:
        failures: why the release is refused, in words; empty when it passed.
        latency_ms: median of preprocess + inference + postprocess; 0 when it never ran.
        rss_mb: peak resident memory of the child.
        frames: golden frames compared.
    """

    failures: tuple[str, ...] = ()
    latency_ms: float = 0.0
    rss_mb: float = 0.0
    frames: int = 0

    @property
    def ok(self) -> bool:
        """Whether the release may go live."""
        return not self.failures

    @property
    def reason(self) -> str:
        """The first failures, and how many more there are."""
        more = len(self.failures) - _MOST_REASONS
        text = "; ".join(self.failures[:_MOST_REASONS])
        return f"{text}; and {more} more" if more > 0 else text


class Tester(Protocol):
    """Runs the self-test of one release on this device."""

    def __call__(self, bundle: Path, model: Model, limits: SelfTest) -> Report:
        """Test the release in ``bundle``; never raises for what the release does."""


def run_selftest(bundle: Path, model: Model, limits: SelfTest) -> Report:
    """Test a release in a child process of its own group.

    Args:
        bundle: folder of the release.
        model: variant, providers and fallback that the agent will use.
        limits: memory and time.
    """
    if set(model.providers) & set(COMPILING):
        limits = replace(limits, timeout_s=limits.timeout_s + limits.build_s)
    command = [
        sys.executable, "-m", "edge_agent.detection.selftest", str(bundle),
        "--variant", model.variant, "--providers", ",".join(model.providers),
        "--fallback", model.fallback,
        "--threads", str(model.threads), "--memory-mb", str(limits.memory_mb), "--json",
    ]  # fmt: skip
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True
        )
        try:
            _restrain(child.pid, limits)
            stopped, peak_mb = _watch(child, limits)
        finally:
            _kill_group(child)
        texts = [_read(file) for file in (output, errors)]
    return explain(child.returncode, *texts, stopped=stopped, peak_mb=peak_mb, limits=limits)


def _restrain(pid: int, limits: SelfTest) -> None:
    """Let inference on the line go first; outlive a killed updater only for so long."""
    seconds = int(limits.timeout_s * (os.cpu_count() or 1)) + 1
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, _NICE)
        resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, seconds))


def _watch(child: subprocess.Popen[bytes], limits: SelfTest) -> tuple[str, float]:
    """Wait for the end; why it had to be stopped ("" when it was not) and its peak memory."""
    deadline = time.monotonic() + limits.timeout_s
    peak_mb = 0.0
    while child.poll() is None:
        peak_mb = max(peak_mb, _peak_rss_mb(child.pid))
        # Engines reserve far more addresses than memory, so what is resident counts.
        if peak_mb > limits.memory_mb:
            return f"needs more memory than {limits.memory_mb} MB", peak_mb
        if time.monotonic() > deadline:
            return f"took longer than {limits.timeout_s:g} s", peak_mb
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_POLL_S)
    return "", peak_mb


def _peak_rss_mb(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except (OSError, ValueError):
        pass  # it has just ended
    return 0.0


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _read(file: Any) -> str:
    file.seek(0)
    return bytes(file.read(1 << 20)).decode(errors="replace")


def explain(
    code: int, output: str, errors: str, *, stopped: str, peak_mb: float, limits: SelfTest
) -> Report:
    """Put the end of a self-test into words. Pure.

    Args:
        code: exit status as `subprocess` gives it, negative for a signal.
        output: what it printed; the report is the last line.
        errors: what it printed on stderr.
        stopped: why it was stopped from outside, or "".
        peak_mb: its peak memory as seen from outside.
        limits: what it had to keep.
    """
    if stopped:
        return Report((stopped,), rss_mb=peak_mb)
    report = _parse(output)
    if report is not None and _out_of_memory(" ".join(report.failures)):
        return replace(report, failures=(f"needs more memory than {limits.memory_mb} MB",))
    if report is not None and code in (0, _REFUSED):
        if code == 0 or report.failures:
            return report
        return Report(("refused without a reason",), report.latency_ms, report.rss_mb)
    if code < 0:
        return Report((_signal(-code, peak_mb, limits),), rss_mb=peak_mb)
    last = next((line.strip() for line in reversed(errors.splitlines()) if line.strip()), "")
    if _out_of_memory(last):
        return Report((f"needs more memory than {limits.memory_mb} MB",), rss_mb=peak_mb)
    return Report((f"self-test ended with code {code}: {last[:300] or 'no message'}",))


def _out_of_memory(text: str) -> bool:
    marks = ("MemoryError", "bad_alloc", "more memory than there is", "Failed to allocate memory")
    return any(mark in text for mark in marks)


def _signal(number: int, peak_mb: float, limits: SelfTest) -> str:
    if number == signal.SIGKILL or peak_mb > 0.9 * limits.memory_mb:
        return f"needs more memory than {limits.memory_mb} MB"
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"killed by {name} in the self-test"


def _parse(output: str) -> Report | None:
    lines = [line for line in output.splitlines() if line.strip()]
    try:
        fields = Fields(json.loads(lines[-1])) if lines else None
    except ValueError:
        return None
    if fields is None:
        return None
    failures = fields.texts("failures", ())
    if not fields.boolean("ok", False) and not failures:
        failures = ("it did not say why",)
    latency = fields.table("latency_ms", optional=True).number("p50", 0.0, least=0.0)
    report = Report(
        failures, latency, fields.number("peak_rss_mb", 0.0), fields.integer("frames", 0)
    )
    return None if fields.faults else report


def slower(candidate_ms: float, incumbent_ms: float, limit: float) -> str:
    """Why a latency is refused, "" when it is not; both measured in the same session."""
    if incumbent_ms <= 0 or candidate_ms <= max(limit * incumbent_ms, SLOW_LEAST_MS):
        return ""
    return (
        f"{candidate_ms / incumbent_ms:.1f}x slower than the release in use"
        f" ({candidate_ms:.1f} ms against {incumbent_ms:.1f} ms, allowed {limit:g}x)"
    )
