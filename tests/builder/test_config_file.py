"""``--config``: the command line's options as TOML, and as strict."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.cli import cli
from builder.config_file import read_options
from edge_agent.bundle import Bundle
from edge_agent.errors import ConfigError

BUILD = cli.commands["build"].params


def read(folder, text):
    """A file's options for ``build``."""
    path = folder / "build.toml"
    path.write_text(text)
    return read_options(path, BUILD)


def test_options(tmp_path):
    """Texts, numbers, truths; paths are relative to the file; tables are others'."""
    found = read(
        tmp_path,
        'imgsz = 320\nreference-data = "images"\nmodel-version = 3\nprove = "never"\n'
        "allow-nonfinite = true\ngolden-frames = 40\n[limits.fp16]\nmap_loss = 0.1\n",
    )
    assert found == {
        "imgsz": "320",
        "reference_data": tmp_path / "images",
        "model_version": 3,
        "prove": "never",
        "allow_nonfinite": True,
        "golden_frames": 40,
    }
    assert read(tmp_path, 'imgsz = "384x640"\nreference-image = "/r.png"\n') == {
        "imgsz": "384x640",
        "reference_image": Path("/r.png"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('refrence-data = "x"', r'refrence-data: is not a known key; did you mean "reference-'),
        ("imgsz = 1.5", "imgsz: should be a text"),
        ('model-version = "3"', "model-version: should be a whole number"),
        ("model-version = 0", "below the least"),
        ("golden-frames = 0", "golden-frames: 0 is below the least"),
        ("golden-frames = 501", "golden-frames: 501 is above the most"),
        ('prove = "often"', "is not one of auto, require, never"),
        ("allow-nonfinite = 1", "should be true or false"),
        ("json = true", "json: is not a known key"),
        ('config = "x"', "config: is not a known key"),
        ("imgsz = ", "not TOML"),
        ('prove = 3\nstrict = "yes"', "prove: .*; strict: "),
    ],
)
def test_faults(tmp_path, text, message):
    """Every fault is named with its place."""
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path, text)
    assert "build.toml" in str(caught.value)


def test_missing_file(tmp_path):
    """One line."""
    with pytest.raises(ConfigError, match=r"none\.toml: No such file"):
        read_options(tmp_path / "none.toml", BUILD)


def test_command_line_goes_first(squares, frames, tmp_path, capsys):
    """The file's values are defaults; a fault in it is exit code 3."""
    from builder.cli import main

    config = tmp_path / "build.toml"
    config.write_text(f'reference-data = "{frames}"\nprove = "never"\nname = "file"\n'
                      f'output = "{tmp_path / "b"}"\ngolden-frames = 5\n')  # fmt: skip
    call = ["build", str(squares), "--config", str(config)]
    assert main([*call, "--name", "line"]) == 0
    assert "line 1, digest" in capsys.readouterr().out
    assert Bundle.open(tmp_path / "b").manifest.golden.frames == 5
    assert main([*call, "--golden-frames", "2"]) == 0
    assert Bundle.open(tmp_path / "b").manifest.golden.frames == 2
    assert main([*call, "--golden-frames", "0"]) == 2
    config.write_text("nmae = 1\n")
    assert main(call) == 3
    assert 'did you mean "name"' in capsys.readouterr().err
