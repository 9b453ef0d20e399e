"""The page's figures can be taken: every row is there and somebody really looked."""

from benchmarks.page import measure


def test_the_rows_of_the_page(tmp_path):
    """Short rounds; what the listener takes is small beside anything else."""
    rows = dict(measure(tmp_path, rounds=1, seconds=0.5))
    assert list(rows) == [
        "page off", "page on, nobody looks", "page on, one viewer", "the listener alone",
    ]  # fmt: skip
    assert all(value > 0 for value in rows.values())
    assert rows["the listener alone"] < 0.1
