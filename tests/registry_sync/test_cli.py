"""The command as a person calls it: output, exit codes, one line for each mistake."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from registry_sync.cli import main
from tests.registry_sync.simulator import Device, Site


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A site with a device that went from version 1 to version 2."""
    site = Site(tmp_path_factory.mktemp("cli"))
    for version in (1, 2):
        site.publish(version, golden_frames=1, profile=False)
        site.roll_out(version)
        device = Device(site)
        device.settle()
        device.journal.close()
    return site


@pytest.fixture
def site(installed, tmp_path):
    """A fresh copy."""
    return installed.copy(tmp_path / "site")


def call(capsys, *arguments):
    """Run the command in this process: (exit code, stdout, stderr)."""
    code = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_help_is_quick():
    """`--help` of every command takes half a second of CPU at most and imports nothing heavy."""
    script = (
        "import sys, time\nfrom registry_sync.cli import main\n"
        "for words in ([], ['run'], ['status'], ['history'], ['rollback'], ['unban'],"
        " ['rollout'], ['rollout', 'start']): assert main([*words, '--help']) == 0\n"
        "assert not {'tuf', 'numpy', 'urllib3', 'sqlite3'} & set(sys.modules)\n"
        "assert time.process_time() < 0.5, time.process_time()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_status_and_history(site, capsys):
    """Status and history, for people and for scripts."""
    code, out, _ = call(capsys, "status", "-c", site.config_path)
    assert code == 0
    assert "COMMITTED" in out
    found = json.loads(call(capsys, "status", "-c", site.config_path, "--json")[1])
    assert found["models"][0]["version"] == 2
    assert found["models"][0]["previous_version"] == 1
    assert found["banned"] == []
    rows = json.loads(call(capsys, "history", "-c", site.config_path, "--json")[1])
    assert rows[0]["to"] == "RESOLVED"
    assert rows[-1]["to"] == "COMMITTED"
    lines = call(capsys, "history", "-c", site.config_path)[1].splitlines()
    assert sum(line.startswith("20") for line in lines) == len(rows)


def test_rollback_and_unban_on_the_device(site, capsys):
    """Back with no updater running; banned; lifted again; what is not there is named."""
    config = ("-c", site.config_path)
    code, out, _ = call(capsys, "rollback", *config, "--reason", "scratches are missed")
    assert (code, out) == (0, "tiny: version 2 is banned here, version 1 runs again\n")
    assert "scratches are missed" in call(capsys, "status", *config)[1]
    code, _, err = call(capsys, "rollback", *config)
    assert (code, "no release to go back to" in err) == (2, True)
    code, _, err = call(capsys, "unban", "7", *config)
    assert (code, "not banned here (banned: 2)" in err) == (2, True)
    assert call(capsys, "unban", "2", *config)[0] == 0
    assert json.loads(call(capsys, "status", *config, "--json")[1])["banned"] == []


def test_rollouts(site, capsys):
    """Start, status and rollback of a group, as in the README."""
    where = ("--group", "line-1", "--repo", site.repo, "--keys", site.keys)
    code, out, _ = call(
        capsys, "rollout", "start", "tiny", 1, *where, "--waves", "10%,100%", "--gate", "trial_s=8"
    )
    assert (code, "tiny 1" in out, "open to 10%" in out) == (0, True, True)
    document = json.loads(call(capsys, "rollout", "advance", *where, "--json")[1])
    assert (document["wave"], document["gate"]["trial_s"]) == (1, 8.0)
    assert call(capsys, "rollout", "pause", *where)[0] == 0
    assert "paused" in call(capsys, "rollout", "status", "--repo", site.repo)[1]
    assert call(capsys, "rollout", "resume", *where)[0] == 0
    code, out, _ = call(capsys, "rollback", *where, "--to", "2", "--gate", "min_frames=40")
    assert (code, "tiny 2" in out) == (0, True)
    document = json.loads(call(capsys, "rollout", "status", "--repo", site.repo, "--json")[1])[0]
    assert (document["gate"]["trial_s"], document["gate"]["min_frames"]) == (8.0, 40.0)
    assert call(capsys, "rollout", "abort", *where)[0] == 0


def test_keys_beside_the_repository_are_found(site, capsys, monkeypatch):
    """As for `edge-builder publish`: OUTPOST_KEYS, else a folder `keys` beside the repository."""
    monkeypatch.delenv("OUTPOST_KEYS", raising=False)
    assert site.keys == site.repo.parent / "keys"
    monkeypatch.setenv("OUTPOST_REPO", str(site.repo))
    assert call(capsys, "rollout", "start", "tiny", 1, "--group", "line-9")[0] == 0
    assert call(capsys, "rollout", "start", "tiny", 2, "--group", "line-9")[0] == 0
    code, out, _ = call(capsys, "rollback", "--group", "line-9")
    assert (code, "tiny 1" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["status", "-c", "nowhere.toml"], 3, "nowhere.toml"),
        (["run", "-c", "nowhere.toml"], 3, "edge-agent init"),
        (["rollback", "--group", "line-1"], 2, "needs --repo"),
        (["rollback", "--to", "1", "-c", "{config}"], 2, "go with --group"),
        (["rollback", "-c", "{config}", "--model", "other"], 2, "one of tiny"),
        (["rollout", "start", "tiny", "1"], 2, "--group"),
        (["rollout", "status", "--repo", "/nowhere"], 9, "/nowhere"),
        (["rollout", "start", "tiny", "1", "--group", "g", "--repo", "{repo}", "--keys", "/no"],
         9, "rollouts"),
    ],
)  # fmt: skip
def test_mistakes(site, capsys, monkeypatch, tmp_path, arguments, code, part):
    """Each mistake is one line on stderr and the documented exit code."""
    monkeypatch.chdir(tmp_path)
    filled = [text.format(config=site.config_path, repo=site.repo) for text in arguments]
    found, _, err = call(capsys, *filled)
    assert found == code
    assert part in err
    assert err.count("\n") == 1


def test_nothing_ever_ran(site, capsys):
    """Status before the first start says how to start."""
    site.config.layout.journal.unlink()
    code, _, err = call(capsys, "status", "-c", site.config_path)
    assert (code, "registry-sync run" in err) == (2, True)


def test_once_with_the_repository_away(site, capsys):
    """`run --once` ends with 9 when the repository is away, and the device runs on."""
    site.repo.rename(site.folder / "away")
    code, _, err = call(capsys, "run", "--once", "-c", site.config_path)
    assert (code, "the repository is away" in err) == (9, True)
