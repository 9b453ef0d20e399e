"""The self-test, as a function and as the child process that the updater starts."""

import hashlib
import json
import subprocess
import sys

import pytest

from edge_agent.bundle import Bundle, Manifest
from edge_agent.detection import selftest
from edge_agent.detection.selftest import run
from tests.bundles import make_bundle


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("healthy"), profile=False)


def child(*arguments: str) -> tuple[int, dict]:
    """Exit code and the last line's JSON of a child process."""
    done = subprocess.run(
        [sys.executable, "-m", "edge_agent.detection.selftest", *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_a_healthy_bundle_passes(healthy):
    """All golden frames agree; latency, memory and provider are told."""
    report = run(healthy, threads=1)
    assert report.ok and report.frames == 4 and report.nonfinite == 0
    assert 0 < report.latency_p50_ms <= report.latency_p95_ms
    assert report.peak_rss_mb > 10
    assert report.provider == "cpu"


@pytest.mark.parametrize(
    ("knobs", "word"),
    [
        ({"nan": True}, "NaN or Inf on 4 of 4"),
        ({"wrong_golden": True}, "nothing matches it"),
        ({"swapped": True}, "unexpected class"),
        ({"memory_mb": 1 << 30}, "needs more memory"),
        ({"changes": {"classes": ["a", "b", "c", "d"]}}, "the manifest's head and classes promise"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, knobs, word):
    """Each way of being wrong is refused in its words."""
    report = run(make_bundle(tmp_path, profile=False, **knobs), threads=1)
    assert not report.ok
    assert any(word in failure for failure in report.failures), report.failures


def test_damage_is_found_before_the_model_is_loaded(tmp_path):
    """A flipped byte is refused by its hash."""
    bundle = make_bundle(tmp_path, profile=False)
    data = bytearray(bundle.path("model/fp32.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    bundle.path("model/fp32.onnx").write_bytes(data)
    report = run(bundle)
    assert report.provider == "" and "is damaged" in report.failures[0]


@pytest.mark.parametrize("file", ["golden/0001.png", "reference.png", "profile.json"])
def test_a_file_that_is_not_what_it_should_be(tmp_path, file):
    """Its hash is right and its content is not: the bundle's fault, named by file."""
    bundle = make_bundle(tmp_path)
    bundle.path(file).write_bytes(b"text")
    entry = {"path": file, "size": 4, "sha256": hashlib.sha256(b"text").hexdigest()}
    document = dict(bundle.manifest.document)
    document["files"] = [entry if e["path"] == file else e for e in document["files"]]
    report = run(Bundle(bundle.root, Manifest.from_document(document)))
    assert report.frames == 0 and len(report.failures) == 1
    assert file in report.failures[0] and "build the bundle again" in report.failures[0]


def test_many_failures_are_counted(tmp_path):
    """The report stays readable when everything is wrong."""
    report = run(make_bundle(tmp_path, wrong_golden=True, golden_frames=40, profile=False))
    assert len(report.failures) == 21
    assert report.failures[-1].startswith("and ")


def test_child_passes(healthy):
    """Exit code 0 and the report as one line of JSON."""
    code, report = child(str(healthy.root), "--memory-mb", "400")
    assert code == 0
    assert report["ok"] and report["frames"] == 4 and report["failures"] == []
    assert set(report) == {
        "ok", "failures", "latency_ms", "peak_rss_mb", "provider", "nonfinite", "frames",
    }  # fmt: skip
    assert report["latency_ms"]["p50"] > 0


def test_child_refuses_what_needs_too_much(tmp_path):
    """A model of 600 MB under a limit of 300 is refused with the limit's name."""
    bundle = make_bundle(tmp_path, memory_mb=600, profile=False)
    code, report = child(str(bundle.root), "--memory-mb", "300")
    assert code == 5
    assert "needs more memory than 300 MB" in report["failures"][0]
    assert report["peak_rss_mb"] < 400


def test_child_says_that_there_is_no_bundle(tmp_path):
    """A wrong path is an answer too."""
    code, report = child(str(tmp_path))
    assert code == 5
    assert "is" in report["failures"][0] and "edge-builder build" in report["failures"][0]


@pytest.mark.parametrize(("providers", "limited"), [("cpu", [300]), ("cuda,cpu", [])])
def test_addresses_are_limited_on_the_cpu_only(healthy, monkeypatch, capsys, providers, limited):
    """CUDA reserves more of them than any limit of memory; there the updater watches instead."""
    given = []
    monkeypatch.setattr(selftest, "limit_memory", given.append)
    arguments = ["--providers", providers, "--fallback", "allow", "--memory-mb", "300"]
    selftest.main([str(healthy.root), *arguments, "--json"])
    assert given == limited and "latency_ms" in capsys.readouterr().out
