"""``models:/…`` references, read without asking anyone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_agent.checked import nearest
from edge_agent.errors import UsageError

STAGES = ("Production", "Staging", "Archived", "None")
LATEST = "latest"
DEFAULT_ALIAS = "production"
_FORM = re.compile(r"models:/+(?P<name>[^/@:'\"]+)(?:@(?P<alias>[^/@:]+)|/(?P<last>[^/@:]+))?")


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
