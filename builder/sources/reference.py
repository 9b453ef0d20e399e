"""``models:/…`` and ``runs:/…`` references, read without asking anyone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_agent.checked import nearest
from edge_agent.errors import UsageError

STAGES = ("Production", "Staging", "Archived", "None")
LATEST = "latest"
DEFAULT_ALIAS = "production"
_FORM = re.compile(r"models:/+(?P<name>[^/@:'\"]+)(?:@(?P<alias>[^/@:]+)|/(?P<last>[^/@:]+))?")
_RUN = re.compile(r"runs:/+(?P<run>[A-Za-z0-9_-]{1,64})(?P<path>/.*)?")


@dataclass(frozen=True)
class Reference:
    """Which version of which registered model; exactly one of the last three is set.

    Attributes:
        name: of the registered model.
        alias: ``production`` of ``models:/name@production``.
        version: 3 of ``models:/name/3``.
        stage: ``Production`` of ``models:/name/Production``, or ``latest``.
    """

    name: str
    alias: str = ""
    version: int = 0
    stage: str = ""

    def __str__(self) -> str:
        if self.alias:
            return f"models:/{self.name}@{self.alias}"
        return f"models:/{self.name}/{self.version or self.stage}"


@dataclass(frozen=True)
class RunReference:
    """An artifact of a run: ``runs:/<id>/weights/best.pt``, a folder, or all of the run.

    Attributes:
        run_id: of the run.
        path: file or folder among its artifacts; empty for all.
    """

    run_id: str
    path: str = ""

    def __str__(self) -> str:
        return f"runs:/{self.run_id}" + (f"/{self.path}" if self.path else "")


def parse_run(text: str) -> RunReference:
    """Read ``runs:/<id>/path``.

    Raises:
        UsageError: saying which form it has, also for a path that leaves the run.
    """
    match = _RUN.fullmatch(text)
    path = match["path"].strip("/") if match and match["path"] else ""
    if match is None or any(part in ("", ".", "..") for part in path.split("/") if path):
        raise UsageError(f"{text!r} is not a run's artifact; write runs:/<run id>/weights/best.pt")
    return RunReference(match["run"], path)


def parse_reference(text: str) -> Reference:
    """Read ``models:/name@alias``, ``models:/name/3`` or ``models:/name/Production``.

    ``models:/name`` alone means the alias `DEFAULT_ALIAS`.

    Raises:
        UsageError: saying which forms there are.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not a model reference; write models:/name@alias, models:/name/3 or"
            " models:/name/Production"
        )
    name, alias, last = match.group("name", "alias", "last")
    if last is None:
        return Reference(name, alias=alias or DEFAULT_ALIAS)
    if last.isdecimal() and int(last) > 0:
        return Reference(name, version=int(last))
    known = {stage.lower(): stage for stage in (*STAGES, LATEST)}
    if last.lower() not in known:
        raise UsageError(
            f"{text!r}: {last!r} is neither a version number nor a stage"
            f" ({', '.join(STAGES)}, {LATEST}){nearest(last, known.values())};"
            f" an alias is written models:/{name}@{last}"
        )
    return Reference(name, stage=known[last.lower()])
