"""When an alert is raised and what is done about it: ``[policy]`` and ``[[rule]]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from edge_agent.checked import Fields, nearest
from edge_agent.config.gate import VIEW_PATTERN
from edge_agent.policy.expression import Condition, When, names, parse
from edge_agent.policy.rules import (
    ACTIONS,
    CAPTURE,
    CLEAR_AFTER,
    DEFAULTS,
    HOLD_OFF_S,
    REFERENCE,
    SEVERITIES,
    Rule,
)

GITHUB, PLAIN = "github", "plain"
_NAME = r"[a-z0-9-]{1,64}"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Webhook:
    """``[policy.webhook]``: who is asked for retraining.

    Attributes:
        url: https; http only to this machine.
        kind: ``github`` sends a ``repository_dispatch``, ``plain`` the same fields bare.
        token_file: a bearer token, read at each request and never logged.
        ca: certificate of a private authority, None for the system's.
        timeout_s: of one attempt.
        retries: further attempts, ever more rarely.
    """

    url: str
    kind: str
    token_file: Path | None
    ca: Path | None
    timeout_s: float
    retries: int


@dataclass(frozen=True)
class Policy:
    """``[policy]`` with all ``[[rule]]``.

    Attributes:
        rules: the default ones and those of the file; a rule of the file replaces its namesake.
        selftest_s: seconds between two golden self-tests on the live engine, 0 for none.
        webhook: asked for retraining; None only sends the event.
    """

    rules: tuple[Rule, ...]
    selftest_s: float
    webhook: Webhook | None


def parse_policy(
    fields: Fields, rules: list[Fields], folder: Path, *, captures: bool, gate: bool
) -> Policy:
    """Read ``[policy]`` and each ``[[rule]]``; faults are noted in ``fields``.

    Args:
        fields: the section.
        rules: the sections.
        folder: of the file.
        captures: whether frames may be kept on this device.
        gate: whether frames are checked on it.
    """
    defaults = DEFAULTS if fields.boolean("defaults", True) else ()
    own = tuple(_rules(rules, captures=captures))
    if not gate and any(REFERENCE in rule.actions for rule in own):
        fields.fault("", f'the action "{REFERENCE}" of a [[rule]] needs [gate] enabled = true')
    for name in sorted({rule.name for rule in own if [r.name for r in own].count(rule.name) > 1}):
        fields.fault("", f'the [[rule]] "{name}" is there twice')
    taken = {rule.name for rule in own}
    kept = tuple(_without(rule, captures) for rule in defaults if rule.name not in taken)
    policy = Policy(
        rules=kept + own,
        selftest_s=fields.number("selftest_s", 3600.0, least=0.0, most=7 * 86400.0),
        webhook=_webhook(fields.table("webhook"), folder) if fields.has("webhook") else None,
    )
    fields.close()
    return policy


def _without(rule: Rule, captures: bool) -> Rule:
    """A default rule that cannot keep frames does the rest."""
    if captures:
        return rule
    return replace(rule, actions=tuple(name for name in rule.actions if name != CAPTURE))


def _rules(tables: list[Fields], *, captures: bool) -> list[Rule]:
    if not tables:
        return []
    from edge_agent.policy.catalogue import catalogue  # the builders bring numpy

    known = catalogue()
    return [_rule(table, known, captures=captures) for table in tables]


def _rule(fields: Fields, known: Mapping[str, str], *, captures: bool) -> Rule:
    when = _when(fields, "when", known)
    clear = _when(fields, "clear_when", known) if fields.has("clear_when") else None
    if clear is not None and (clear.windows > 1 or clear.seconds):
        fields.fault("clear_when", 'takes no "for"; clear_after says for how many windows')
    rule = Rule(
        name=fields.text("name", pattern=_NAME),
        when=when,
        severity=fields.text("severity", "warning", choices=SEVERITIES),
        clear_when=None if clear is None else clear.condition,
        clear_after=fields.integer("clear_after", CLEAR_AFTER, least=1, most=100_000),
        hold_off_s=fields.number("hold_off_s", HOLD_OFF_S, least=0.0, most=30 * 86400.0),
        actions=_actions(fields, when.condition, known, captures=captures),
        reference=fields.text("reference", "", pattern=VIEW_PATTERN),
        reference_stays=fields.boolean("reference_stays", False),
    )
    _reference(fields, rule)
    fields.close()
    return rule


def _reference(fields: Fields, rule: Rule) -> None:
    """The action and the name of the reference belong together."""
    if REFERENCE in rule.actions and not rule.reference:
        fields.fault(
            "reference", "should name the reference to switch to (edge-agent calibrate --name)"
        )
    if rule.reference and REFERENCE not in rule.actions:
        fields.fault("reference", f'needs "{REFERENCE}" among the actions')
    if rule.reference_stays and not rule.reference:
        fields.fault("reference_stays", "needs a reference")


def _when(fields: Fields, name: str, known: Mapping[str, str]) -> When:
    """A condition whose metrics all exist; a harmless one with a fault otherwise."""
    text = fields.text(name)
    try:
        when = parse(text)
    except ValueError as error:
        fields.fault(name, f'"{text}": {error}')
        return When(parse("window_s < 0").condition)
    from edge_agent.policy.catalogue import unknown

    for metric in names(when.condition):
        if why := unknown(metric, known):
            fields.fault(name, why)
    return when


def _actions(
    fields: Fields, condition: Condition, known: Mapping[str, str], *, captures: bool
) -> tuple[str, ...]:
    from edge_agent.policy.catalogue import DEVICE, kind_of

    actions = fields.texts("actions", ())
    for name in actions:
        if name not in ACTIONS:
            fields.fault(
                "actions", f'"{name}" is not one of {", ".join(ACTIONS)}{nearest(name, ACTIONS)}'
            )
    if CAPTURE in actions and not captures:
        fields.fault("actions", f'"{CAPTURE}" needs [capture] enabled = true')
    if actions and kind_of(condition, known) == DEVICE:
        fields.fault("actions", "need a metric of a camera or a model, these are of the device")
    return tuple(dict.fromkeys(actions))


def _webhook(fields: Fields, folder: Path) -> Webhook:
    url = fields.text("url")
    parts = urlsplit(url)
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if url and not (secure and parts.hostname):
        fields.fault("url", "should begin with https:// (http:// only to this machine)")
    if parts.username or parts.password:
        fields.fault("url", "holds a password; write the token into a file and name token_file")
    webhook = Webhook(
        url=url,
        kind=fields.text("kind", GITHUB, choices=(GITHUB, PLAIN)),
        token_file=_path(fields, "token_file", folder),
        ca=_path(fields, "ca", folder),
        timeout_s=fields.number("timeout_s", 10.0, least=0.1, most=120.0),
        retries=fields.integer("retries", 5, least=0, most=20),
    )
    fields.close()
    return webhook


def _path(fields: Fields, name: str, folder: Path) -> Path | None:
    value = fields.text(name, "")
    return folder / value if value else None
