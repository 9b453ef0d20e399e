"""The command line: exit codes, one line per trouble, speed of --help."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import pytest

from edge_agent import __version__
from edge_agent.cli import main
from edge_agent.commands.template import text, write
from edge_agent.config import load
from edge_agent.errors import StorageError, UsageError
from edge_agent.health import Health, ModelHealth, Window
from tests.brokers import free_port
from tests.bundles import make_bundle, write_frames
from tests.devices import Device
from tests.edge_agent.gate.scene import baseline

COMMANDS = (
    "run", "calibrate", "detect", "doctor", "init", "status", "captures", "feedback", "quality",
)  # fmt: skip


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("cli") / "v1")


def outcome(argv, capsys):
    code = main([str(argument) for argument in argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["run", "--help"], ["quality", "--help"]]
)
def test_help_is_quick_and_imports_nothing_heavy(arguments):
    """Half a second on a quiet machine; three here, where tests run side by side."""
    code = (
        "import sys, atexit\n"
        "from edge_agent.cli import main\n"
        "heavy = {'numpy', 'cv2', 'onnxruntime', 'paho', 'psutil'}\n"
        "code = main(sys.argv[1:])\n"
        "sys.exit(code or len(heavy & set(sys.modules)))\n"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 3.0
    assert done.stdout.strip()


def test_every_command_has_help(capsys):
    """And the group names each of them."""
    code, out, _ = outcome(["--help"], capsys)
    assert code == 0 and all(name in out for name in COMMANDS)
    for name in COMMANDS:
        assert outcome([name, "--help"], capsys)[0] == 0
    assert outcome(["--version"], capsys)[1].strip() == f"edge-agent {__version__}"


def test_a_config_error_names_every_fault_and_the_nearest_key(tmp_path, capsys):
    """Exit code 3 and one line."""
    path = tmp_path / "agent.toml"
    path.write_text('[device]\nid = "Cell 3"\n[[model]]\nname = "m"\nproviderz = ["cpu"]\n')
    code, _, err = outcome(["run", "-c", path], capsys)
    assert code == 3 and len(err.splitlines()) == 1
    assert 'providerz: is not a known key; did you mean "providers"?' in err
    assert "device.id" in err and str(path) in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "-c", "nowhere.toml"], 3, "edge-agent init -o nowhere.toml"),
        (["run", "-c", "{config}", "--bundle", "nowhere"], 4, "nowhere/manifest.json"),
        (["run", "-c", "{config}", "--telemetry", "kafka"], 2, "'kafka' is not one of mqtt, log"),
        (["run", "-c", "{config}", "--telemetry", "mqtt"], 7, "needs a [mqtt] section"),
        (["detect", "nowhere", "picture.png"], 4, "nowhere/manifest.json"),
        (["detect", "{bundle}"], 2, "Missing argument 'IMAGES...'"),
        (["detect", "{bundle}", "no.png"], 6, "no.png"),
        (["quality", "no.png", "--reference", "none.png"], 6, "none.png: no such file"),
        (["quality", "no.png", "--reference", "x", "--metric", "sim"], 2, 'did you mean "ssim"'),
        (["quality", "no.png"], 2, "Missing option '--reference'"),
        (["launch"], 2, "see `edge-agent --help`"),
    ],
)
def test_each_trouble_is_one_line_with_its_code(arguments, code, words, tmp_path, capsys, bundle):
    """No traceback, the file's name, the documented exit code."""
    device = Device(tmp_path)
    names = {"config": device.config_path, "bundle": bundle.root}
    got, _, err = outcome([a.format(**names) for a in arguments], capsys)
    assert got == code and words in err and len(err.strip().splitlines()) == 1, err


def test_detect_finds_the_squares(tmp_path, capsys, bundle):
    """The command's whole way, as JSON."""
    pictures = sorted(write_frames(tmp_path / "frames", 3).iterdir())
    code, out, _ = outcome(["detect", bundle.root, *pictures, "--json"], capsys)
    found = json.loads(out)
    assert code == 0 and list(found) == [picture.name for picture in pictures]


def test_init_writes_what_load_accepts(tmp_path, capsys):
    """With an id, and with every commented default as it is in the code."""
    path = tmp_path / "agent.toml"
    code, out, _ = outcome(["init", "-o", path, "--device-id", "cell-7"], capsys)
    assert code == 0 and "edge-agent doctor" in out
    config = load(path)
    assert (config.device.id, config.cameras[0].model) == ("cell-7", config.models[0].name)


def test_the_templates_defaults_are_the_codes_defaults(tmp_path):
    """Taking every comment sign away from the default lines changes nothing."""
    path = tmp_path / "agent.toml"
    write(path, "cell-7")
    plain = load(path)
    section, lines = "", []
    for line in path.read_text().splitlines():
        section = line.strip("[]") if line.startswith("[") else section
        optional = line.startswith("# [")
        section = "" if optional else section
        if section and re.match(r"# \w+ = ", line) and not re.search("ssim_min|spacing_s", line):
            line = line[2:]
        lines.append(line)
    path.write_text("\n".join(lines))
    assert path.read_text().count("# psi_max") == 0
    assert load(path) == plain


def test_init_does_not_overwrite(tmp_path, capsys):
    """Exit code 2 without --force; with it the file is new."""
    path = tmp_path / "agent.toml"
    path.write_text("mine")
    code, _, err = outcome(["init", "-o", path], capsys)
    assert code == 2 and "--force" in err and path.read_text() == "mine"
    assert outcome(["init", "-o", path, "--force", "--device-id", "x"], capsys)[0] == 0
    assert load(path).device.id == "x"


def test_init_refuses_an_id_that_topics_do_not_allow(tmp_path):
    """And a folder that is not there."""
    with pytest.raises(UsageError, match="'Cell 3' should have"):
        text("Cell 3", tmp_path)
    with pytest.raises(StorageError, match="no such folder"):
        write(tmp_path / "nowhere" / "agent.toml", "x")


def healthy(device, at, error=""):
    window = Window(seq=1, at=at, release="d" * 64, captured=9, inferred=8, latency_p50_ms=12.3)
    model = ModelHealth("tiny", "d" * 64, 4, "running", error, "cpu", (window,))
    Health(at=at, boot="b", pid=1, models={"tiny": model}).write(device.layout.health)


def test_status_tells_what_runs(tmp_path, capsys):
    """A table for people, JSON for scripts; exit code 1 when the agent is not alive."""
    device = Device(tmp_path)
    arguments = ["status", "-c", device.config_path]
    code, out, _ = outcome(arguments, capsys)
    assert code == 1 and "no health file" in out
    healthy(device, time.time(), error="disk full")
    code, out, _ = outcome(arguments, capsys)
    assert code == 0 and "dddddddddddd" in out and "12.3" in out and "tiny: disk full" in out
    healthy(device, time.time() - 100)
    code, out, _ = outcome([*arguments, "--json"], capsys)
    document = json.loads(out)
    assert code == 1 and document["alive"] is False and document["age_s"] >= 100
    assert "hangs or is not running" in outcome(arguments, capsys)[1]


def levels(out):
    return {finding["what"]: finding["level"] for finding in json.loads(out)}


def test_doctor_is_content_with_a_healthy_device(tmp_path, capsys, bundle, shared_broker):
    """Everything looked at: config, folders, disk, camera, broker by round trip, release."""
    device = Device(tmp_path, url=shared_broker.url, device="doctor-1")
    digest = device.add(bundle)
    device.commit(digest)
    baseline().write(device.layout.baseline("top"))
    code, out, _ = outcome(["doctor", "-c", device.config_path, "--json"], capsys)
    found = levels(out)
    assert code == 0 and set(found.values()) == {"ok"}, out
    assert {"config", "disk", "camera top", "broker", "broker round trip", "provider"} <= set(found)


def test_doctor_looks_at_the_capture_folder(tmp_path, capsys):
    """When frames are to be kept; its disk may be another one."""
    (tmp_path / "file").write_text("")
    device = Device(tmp_path, more=f'[capture]\nenabled = true\nfolder = "{tmp_path}/file"\n')
    _, out, _ = outcome(["doctor", "-c", device.config_path, "--json"], capsys)
    assert levels(out)["capture folder"] == "fail"


def test_doctor_names_each_trouble_and_the_next_step(tmp_path, capsys, bundle):
    """A camera that is not there, no broker, a damaged bundle: three failures, exit code 1."""
    url = f"mqtt://127.0.0.1:{free_port()}"
    device = Device(tmp_path, url=url, source="file:nowhere.mp4")
    release = device.layout.release("tiny", device.add(bundle))
    device.commit(bundle.manifest.digest)
    (release / "profile.json").write_bytes(b"{}")
    code, out, _ = outcome(["doctor", "-c", device.config_path, "--json"], capsys)
    found = levels(out)
    assert code == 1
    assert [found["camera top"], found["broker"], found[f"bundle {release}"]] == ["fail"] * 3
    assert all(f["next"] for f in json.loads(out) if f["level"] != "ok")
    text_out = outcome(["doctor", "-c", device.config_path], capsys)[1]
    assert "refused" in text_out and "profile.json" in text_out and "->" in text_out


@pytest.mark.parametrize(
    ("page", "level"),
    [
        ('address = "127.0.0.1:8800"', "ok"),
        ('address = "0.0.0.0:8800"', "fail"),
        ('address = "127.0.0.1:8800"\ntoken_file = "none"', "fail"),
    ],
)
def test_doctor_looks_at_the_page(page, level, tmp_path, capsys):
    """Whether it may be served; without a section there is nothing to say."""
    device = Device(tmp_path, more=f"[page]\n{page}\n")
    out = outcome(["doctor", "-c", device.config_path, "--json"], capsys)[1]
    assert levels(out)["page"] == level
    bare = Device(tmp_path, device="bare")
    assert "page" not in levels(outcome(["doctor", "-c", bare.config_path, "--json"], capsys)[1])


def test_doctor_reads_a_broken_config(tmp_path, capsys):
    """One failure with every fault; nothing else is tried."""
    path = tmp_path / "agent.toml"
    path.write_text("[device]\nidd = 1\n")
    code, out, _ = outcome(["doctor", "-c", path, "--json"], capsys)
    assert code == 1 and levels(out) == {"config": "fail"}


def test_doctor_looks_at_a_bundle_alone(capsys, bundle):
    """Without any device."""
    code, out, _ = outcome(["doctor", "--bundle", bundle.root, "--json"], capsys)
    assert code == 0 and list(levels(out).values()) == ["ok", "ok"]
