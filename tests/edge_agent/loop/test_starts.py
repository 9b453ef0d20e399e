"""Starts of the agent, counted on the disk."""

from __future__ import annotations

import json

import pytest

from edge_agent.loop.starts import Starts


def test_kills_are_told_from_clean_ends(tmp_path):
    """The start after a kill sees that the one before never ended."""
    path = tmp_path / "starts.json"
    first = Starts(path)
    assert first.totals() == {"agent_starts_total": 1, "agent_unclean_ends_total": 0}
    first.end()
    Starts(path)  # killed
    Starts(path)  # and again
    last = Starts(path)
    assert last.totals() == {"agent_starts_total": 4, "agent_unclean_ends_total": 2}
    last.end()
    assert Starts(path).totals()["agent_unclean_ends_total"] == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"schema_version": 2, "starts": 1, "unclean": 0, "running": true}'],
)
def test_a_damaged_file_is_begun_anew(tmp_path, content):
    """A figure is lost, the agent starts."""
    path = tmp_path / "starts.json"
    path.write_bytes(content)
    assert Starts(path).totals() == {"agent_starts_total": 1, "agent_unclean_ends_total": 0}
    assert json.loads(path.read_bytes())["running"] is True


def test_a_folder_that_is_gone_leaves_no_figures(tmp_path):
    """What cannot be counted is absent, not zero."""
    starts = Starts(tmp_path / "gone/starts.json")
    assert starts.totals() == {}
    starts.end()
