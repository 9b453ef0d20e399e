"""The examples in deploy/ call commands that exist, with options that they have."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from builder.accuracy.limits import read_limits
from builder.cli import cli
from builder.config_file import read_options

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
EXAMPLES = [*DEPLOY.glob("ci/*.yml"), *DEPLOY.glob("systemd/*.service")]


def calls(text):
    """Every call of edge-builder, lines with a backslash joined."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [shlex.split(line) for line in re.findall(r"edge-builder ([^\n]+)", joined)
            if line.startswith(("watch", "repo"))]  # fmt: skip


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_calls(path):
    """Commands and options are those of the command line."""
    found = calls(path.read_text(encoding="utf-8"))
    assert found
    for name, *words in found:
        command = cli.commands[name]
        if name == "repo":
            command = command.commands[words[0]]
        known = {option for one in command.params for option in one.opts}
        given = {word for word in words if word.startswith("--")}
        assert given and given <= known


def test_configuration():
    """The example of a configuration is one."""
    path = DEPLOY / "systemd" / "build.toml"
    assert read_options(path, cli.commands["watch"].params)["precision"] == "auto"
    assert read_limits(path)["int8"].map_loss == 1.0


def test_workflow_is_yaml():
    """With one job that has every step named or used."""
    yaml = pytest.importorskip("yaml")
    text = (DEPLOY / "ci" / "release.yml").read_text(encoding="utf-8")
    steps = yaml.safe_load(text)["jobs"]["watch"]["steps"]
    assert all(step.get("name") or step.get("uses") for step in steps)
