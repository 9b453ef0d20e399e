"""Why something was left out, as a manifest or a tag may say it."""

from __future__ import annotations

from pathlib import Path

from edge_agent.errors import ModelError

_MOST = 500


def reason(error: ModelError, root: Path) -> str:
    """The message's first line without the work folder, whose random name would be published."""
    return str(error).replace(f"{root}/", "").partition("\n")[0][:_MOST]
