"""Boards as trees of files: ``tests/data/sysfs/<name>.txt``, one ``path = content`` a line."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).parents[3] / "data/sysfs"
NAMES = sorted(path.stem for path in DATA.glob("*.txt"))


def plant(name: str, root: Path) -> Path:
    """Make a board's files below a folder."""
    for text in (DATA / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if not text.startswith("#"):
            path, _, content = text.partition(" = ")
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content + "\n", encoding="ascii")
    return root
