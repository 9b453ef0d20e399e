"""The self-test child: what it says, and what its death says."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import pytest

from edge_agent.config import Model, SelfTest
from registry_sync.device.selftest import Report, explain, run_selftest, slower
from tests.bundles import make_bundle

MODEL = Model("tiny", "line-1", "auto", ("cpu",), "refuse", 1)
LIMITS = SelfTest(memory_mb=1024, timeout_s=60.0, latency_ratio=3.0)
GOOD = {"ok": True, "failures": [], "latency_ms": {"p50": 4.5, "p95": 6.0}, "peak_rss_mb": 90.5,
        "frames": 4}  # fmt: skip


def told(code: int, output: str = "", errors: str = "", **more: object) -> Report:
    """What `explain` makes of an end."""
    usual = {"stopped": "", "peak_mb": 100.0, "limits": LIMITS}
    return explain(code, output, errors, **(usual | more))


def test_a_good_release(tmp_path):
    """The real child on a healthy bundle: passed, with latency and memory."""
    report = run_selftest(make_bundle(tmp_path / "b").root, MODEL, LIMITS)
    assert report.ok, report
    assert report.frames == 4
    assert 0 < report.latency_ms < 1000
    assert 20 < report.rss_mb < 500


def test_nan_is_refused(tmp_path):
    """The real child on NaN weights."""
    report = run_selftest(make_bundle(tmp_path / "b", nan=True).root, MODEL, LIMITS)
    assert "NaN" in report.failures[0]


def test_too_much_memory(tmp_path):
    """The real child on a model that wants a gigabyte under a limit of 300 MB."""
    # The bundle's golden set is made without the burden, so only the child carries it.
    bundle = make_bundle(tmp_path / "b", memory_mb=1000, golden_frames=1, profile=False)
    limits = SelfTest(memory_mb=300, timeout_s=60.0, latency_ratio=3.0)
    assert "needs more memory than 300 MB" in run_selftest(bundle.root, MODEL, limits).failures[0]


def test_too_slow_to_end(tmp_path):
    """A child that outlasts its time is ended, and says so."""
    bundle = make_bundle(tmp_path / "b", golden_frames=1, profile=False)
    limits = SelfTest(memory_mb=1024, timeout_s=0.05, latency_ratio=3.0)
    assert run_selftest(bundle.root, MODEL, limits).failures == ("took longer than 0.05 s",)


def test_an_engine_may_be_built_first(tmp_path):
    """Where the provider compiles, it has `build_s` more."""
    bundle = make_bundle(tmp_path / "b", golden_frames=1, profile=False)
    limits = SelfTest(memory_mb=1024, timeout_s=0.05, latency_ratio=3.0, build_s=60.0)
    model = replace(MODEL, providers=("tensorrt-native", "cpu"), fallback="allow")
    assert run_selftest(bundle.root, model, limits).ok
    assert not run_selftest(bundle.root, MODEL, limits).ok


def test_no_bundle_there(tmp_path):
    """A folder that is no bundle is refused in words."""
    report = run_selftest(tmp_path, MODEL, LIMITS)
    assert "manifest.json" in report.failures[0]


@pytest.mark.parametrize(
    ("code", "output", "errors", "part"),
    [
        (-signal.SIGSEGV, "", "", "killed by SIGSEGV"),
        (-signal.SIGABRT, "", "terminate called", "killed by SIGABRT"),
        (-signal.SIGKILL, "", "", "needs more memory than 1024 MB"),
        (1, "", "Traceback\nMemoryError", "needs more memory than 1024 MB"),
        (1, "", "Traceback\nImportError: no libcudart", "ended with code 1: ImportError"),
        (1, "", "", "no message"),
        (5, json.dumps(GOOD | {"ok": False, "failures": ["std::bad_alloc"]}), "", "more memory"),
        (5, json.dumps(GOOD | {"ok": False, "failures": []}), "", "did not say why"),
        (0, "not JSON", "", "ended with code 0"),
        (0, "[1, 2]", "", "ended with code 0"),
        (0, json.dumps(GOOD | {"latency_ms": {"p50": "fast"}}), "", "ended with code 0"),
    ],
)
def test_deaths_in_words(code, output, errors, part):
    """Each way to die is a reason that a person understands."""
    report = told(code, output, errors)
    assert not report.ok
    assert part in report.failures[0]


def test_reports_are_read():
    """The last line of the child is its report, whatever libraries print before."""
    report = told(0, "some library says hello\n" + json.dumps(GOOD) + "\n")
    assert report == Report((), 4.5, 90.5, 4)
    assert told(0, stopped="took longer than 5 s").failures == ("took longer than 5 s",)
    assert told(-11, peak_mb=1000.0).failures == ("needs more memory than 1024 MB",)


def test_slower():
    """5.2 times slower is refused with both figures, 1.05 times is not, nor is the unknown."""
    assert slower(52.0, 10.0, 3.0).startswith(
        "5.2x slower than the release in use (52.0 ms against"
    )
    assert slower(10.5, 10.0, 3.0) == ""
    assert slower(52.0, 0.0, 3.0) == ""
    assert slower(1.0, 0.2, 3.0) == ""


def test_long_lists_are_cut():
    """A reason that travels over MQTT names the first failures and counts the rest."""
    assert Report(("a", "b")).reason == "a; b"
    assert Report(("a", "b", "c", "d")).reason == "a; b; and 2 more"
