"""Sizes and contracts."""

from __future__ import annotations

import pytest

from builder.options import parse_size, preprocessing
from edge_agent.errors import UsageError


def test_sizes():
    """One number is a square; two are height x width."""
    assert parse_size("640") == (640, 640)
    assert parse_size("384x640") == (384, 640)
    assert (preprocessing(384, 640).height, preprocessing(384, 640).width) == (384, 640)


@pytest.mark.parametrize("text", ["", "640,640", "-64", "64x", "x64", "64x64x3", "12345"])
def test_other_sizes_are_refused(text):
    """The message says how to write it."""
    with pytest.raises(UsageError, match="height x width"):
        parse_size(text)
