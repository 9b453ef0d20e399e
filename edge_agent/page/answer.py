"""What the page's server sends back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """Status, body and its type; the headers that every answer has are the handler's."""

    status: HTTPStatus
    body: bytes = b""
    kind: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, document: Mapping[str, Any]) -> Answer:
        """A document in as few bytes as it takes."""
        text = json.dumps(document, separators=(",", ":"), allow_nan=False)
        return cls(HTTPStatus.OK, text.encode(), JSON)

    @classmethod
    def refusal(cls, status: HTTPStatus, text: str, **headers: str) -> Answer:
        """One line that says why not."""
        return cls(status, f"{text}\n".encode(), headers=headers)


NOTHING_NEW = Answer(HTTPStatus.NO_CONTENT)
