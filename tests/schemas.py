"""The JSON Schemas that ship with the agent, ready to judge a document."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest


def faults(name: str, document: object) -> list[str]:
    """What the schema ``name`` (manifest, profile, golden) refuses in a document."""
    jsonschema = pytest.importorskip("jsonschema", reason="needs the test extra")
    path = files("edge_agent") / "schemas" / f"{name}.schema.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return [
        f"{error.json_path}: {error.message}"
        for error in jsonschema.Draft202012Validator(schema).iter_errors(document)
    ]
