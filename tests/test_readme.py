"""The README is true: its commands run, the demo tells its story, links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
# `make test` is the run that this test is part of.
RUN_ELSEWHERE = {"make test"}
SERVICES = ("edge-agent run", "registry-sync run")
KEYS = {
    "ok": bool, "duration_s": float, "broker": str, "transitions": list, "final": dict,
    "frames": dict, "metrics_received": int, "events_received": int, "latency_ms": dict,
    "ssim": dict,
}  # fmt: skip


def commands() -> list[str]:
    """Every line of the README's shell blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]


def environment() -> dict[str, str]:
    """That of a person's shell, with the environment's programs in reach."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # The suite's own make must not hand its flags and variables down.
    kept = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return {**kept, "PATH": path}


def run(command: str) -> subprocess.CompletedProcess[str]:
    """One command from the repository's root; a service is stopped once it has begun."""
    if not command.startswith(SERVICES):
        return subprocess.run(
            command, shell=True, capture_output=True, text=True, cwd=ROOT, env=environment()
        )
    service = subprocess.Popen(
        command.split(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
        env=environment(),
    )  # fmt: skip
    select.select([service.stdout], [], [], 5.0)  # its first words; some have none at rest
    service.terminate()
    said, _ = service.communicate(timeout=30)
    return subprocess.CompletedProcess(command, service.returncode, "", said)


@pytest.fixture(scope="module")
def demo():
    """``make demo``, played once; its report.json."""
    shutil.rmtree(ROOT / "build/bundle", ignore_errors=True)
    (ROOT / "build/agent.toml").unlink(missing_ok=True)
    done = run("make demo")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads((ROOT / "build/demo/report.json").read_text())


@pytest.mark.slow
def test_the_demo_tells_its_story(demo):
    """The report has the promised form, and every claim of the story was so."""
    assert {key: type(demo[key]) for key in KEYS} == KEYS
    assert demo["ok"] and all(check["ok"] for check in demo["checks"])
    assert demo["final"]["current_version"] == 1
    assert {item["version"] for item in demo["final"]["banned"]} == {3, 4}
    assert demo["frames"]["dropped_during_swaps"] == 0
    assert demo["frames"]["skipped_by_gate"] > 0
    assert demo["duration_s"] < 300


@pytest.mark.slow
def test_the_transitions_are_the_story(demo):
    """v1 and v2 commit, v3 fails before it is live, v4 is rolled back, v1 commits again."""
    steps = [(step["version"], step["to"]) for step in demo["transitions"]]
    told = [step for step in steps if step[1] in ("COMMITTED", "FAILED", "ROLLED_BACK")]
    assert told == [
        (1, "COMMITTED"), (2, "COMMITTED"), (3, "FAILED"), (4, "ROLLED_BACK"), (1, "COMMITTED"),
    ]  # fmt: skip
    assert (3, "SWITCHING") not in steps


@pytest.mark.slow
def test_the_report_is_one_file(demo):
    """The page stands alone."""
    page = (ROOT / "build/demo/report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") >= 4
    assert not re.search(r'(src|href)="https?:', page)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [c for c in commands() if c not in {"make demo", *RUN_ELSEWHERE}]
)
def test_every_command_of_the_readme_runs(demo, command):
    """Each command ends with 0 after the demo."""
    done = run(command)
    assert done.returncode == 0, done.stderr


def test_the_readme_is_short_and_its_links_lead_somewhere():
    """Under 200 lines; every relative link is a file of the repository."""
    assert len(README.splitlines()) < 200
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            assert link.startswith("https:") or (page.parent / link).exists(), f"{page}: {link}"
