"""The builder's rows on the smallest checkpoint: real processes."""

from benchmarks.export import Subject, export
from benchmarks.release import release_s
from tests.builder.squares import write_squares


def test_export_without_a_peer(tmp_path):
    """Three rows; the peer is absent where its interpreter fails."""
    checkpoint = write_squares(tmp_path / "squares.pt")
    what = Subject(checkpoint, 64, "squares 64")
    rows = export(what, tmp_path, "/bin/false", rounds=1)
    assert [row.name for row in rows] == ["export_s", "export_rss_mb", "onnx_ms"]
    assert all(row.value > 0 and row.ratio is None for row in rows)


def test_release(tmp_path):
    """From the checkpoint to the repository."""
    checkpoint = write_squares(tmp_path / "squares.pt")
    row = release_s(Subject(checkpoint, 64, "squares 64"), tmp_path, str(checkpoint), [], images=8)
    assert row.name == "release_s" and row.value > 0
    assert list((tmp_path / "repo/blobs").rglob("*"))
