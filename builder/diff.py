"""What changed between two bundles, in words: rules over two bundles, area by area."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

from builder.inspect import frames_of, human
from builder.sections import compared_with, like_before, looks
from edge_agent.bundle import Bundle, Manifest, Tolerance
from edge_agent.detection.decode import above
from edge_agent.detection.golden import Golden, compare
from edge_agent.monitors.histogram import CLASS_FEATURE, INPUT_FEATURES, OUTPUT_FEATURES, Counts
from edge_agent.monitors.profile import Profile
from edge_agent.monitors.psi import psi

_SHOWN = 6
_SAME = Tolerance(iou=0.99, score=0.01)
"""Up to which two bundles say the same of a picture; training again moves more than this."""

PSI_WORDS = ((0.1, "the same"), (0.25, "moved"), (float("inf"), "another distribution"))
"""The usual reading of a population stability index (Siddiqi 2006)."""


@dataclass(frozen=True)
class Change:
    """One thing that is not the same: ``classes``, ``input``, …, and what, in words."""

    area: str
    text: str


@dataclass(frozen=True)
class Difference:
    """Two bundles side by side.

    Attributes:
        changes: in the order of `AREAS`; empty when both are the same release.
        psi: feature -> index between the two profiles; empty when one has none.
    """

    changes: tuple[Change, ...]
    psi: Mapping[str, float]

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "same": not self.changes,
            "changes": [asdict(change) for change in self.changes],
            "psi": {name: round(value, 4) for name, value in self.psi.items()},
        }


def difference(first: Bundle, second: Bundle) -> Difference:
    """Compare two bundles; their hashes are taken as checked.

    Raises:
        BundleError: a golden set or profile cannot be read.
    """
    if first.manifest.digest == second.manifest.digest:
        return Difference((), {})
    changes = [Change(area, text) for area, rule in AREAS.items() for text in rule(first, second)]
    return Difference(tuple(changes), profile_psi(first, second))


def profile_psi(first: Bundle, second: Bundle) -> dict[str, float]:
    """PSI of each feature that both profiles count; classes only where they are the same."""
    before, after = Profile.of(first), Profile.of(second)
    if before is None or after is None:
        return {}
    same = first.manifest.classes == second.manifest.classes
    names = [one for one in (*OUTPUT_FEATURES, *INPUT_FEATURES) if same or one != CLASS_FEATURE]
    pairs = [(one, before.histograms.counts[one], after.histograms.counts[one]) for one in names]
    found = {name: psi(old, new) for name, old, new in pairs}
    return {name: value for name, value in found.items() if value is not None}


def _release(first: Bundle, second: Bundle) -> Iterator[str]:
    a, b = first.manifest, second.manifest
    if (a.name, a.version) != (b.name, b.version):
        yield f"{a.name} {a.version} became {b.name} {b.version}"
    if a.created != b.created:
        yield f"made {a.created}, now {b.created}"
    if a.license != b.license:
        yield f"licence {a.license or 'not stated'!r}, now {b.license or 'not stated'!r}"


def _classes(first: Bundle, second: Bundle) -> Iterator[str]:
    a, b = first.manifest.classes, second.manifest.classes
    if a == b:
        return
    if gone := [name for name in a if name not in b]:
        yield f"no longer: {_some(gone)}"
    if new := [name for name in b if name not in a]:
        yield f"new: {_some(new)}"
    moved = [
        f"{name} {a.index(name)} -> {b.index(name)}"
        for name in a
        if name in b and a.index(name) != b.index(name)
    ]
    if moved:
        yield f"other numbers, on which consumers may depend: {_some(moved)}"


def _contract(part: str) -> Callable[[Bundle, Bundle], Iterator[str]]:
    def rule(first: Bundle, second: Bundle) -> Iterator[str]:
        yield from _table(first.manifest.document[part], second.manifest.document[part])

    return rule


def _head(first: Bundle, second: Bundle) -> Iterator[str]:
    if first.manifest.head != second.manifest.head:
        yield f"{first.manifest.head} became {second.manifest.head}"


def _variants(first: Bundle, second: Bundle) -> Iterator[str]:
    before = {one.id: one for one in first.manifest.variants}
    after = {one.id: one for one in second.manifest.variants}
    for name in sorted(before.keys() - after.keys()):
        yield f"{name} is gone"
    for name in sorted(after.keys() - before.keys()):
        yield f"{name} is new ({_size(second.manifest, after[name].path)})"
    for name in sorted(before.keys() & after.keys()):
        old, new = before[name], after[name]
        sizes = _size(first.manifest, old.path), _size(second.manifest, new.path)
        if _hash(first.manifest, old.path) != _hash(second.manifest, new.path):
            yield f"{name}: another graph ({sizes[0]}, now {sizes[1]})"
        yield from (f"{name} proof: {text}" for text in _table(old.parity, new.parity))


def _golden(first: Bundle, second: Bundle) -> Iterator[str]:
    """Compare what is expected on the pictures that both golden sets hold."""
    a, b = first.manifest, second.manifest
    if a.golden.reference != b.golden.reference:
        yield f"reference {a.golden.reference}, now {b.golden.reference}"
    if a.golden.synthetic != b.golden.synthetic:
        yield f"{frames_of(a)}, now {frames_of(b)}"
    tolerances = [
        {name: asdict(one) for name, one in golden.tolerance.items()}
        for golden in (a.golden, b.golden)
    ]
    yield from _table(tolerances[0], tolerances[1], "tolerance ")
    old = {_hash(a, frame.file): frame for frame in Golden.read(first).frames}
    new = {_hash(b, frame.file): frame for frame in Golden.read(second).frames}
    common = [key for key in old if key in new]
    if old.keys() != new.keys():
        yield f"{len(common)} pictures in both sets, {len(old)} before, {len(new)} now"
    if a.classes != b.classes:
        return
    confidence = b.decode.confidence
    faults = {
        key: compare(old[key].detections, new[key].detections, _SAME, confidence) for key in common
    }
    differing = [key for key in common if faults[key]]
    if differing:
        counts = [
            sum(len(above(frames[key].detections, confidence)) for key in common)
            for frames in (old, new)
        ]
        yield (
            f"other detections on {len(differing)} of {len(common)} common pictures"
            f" ({counts[0]} boxes before, {counts[1]} now); {new[differing[0]].file}:"
            f" {faults[differing[0]][0]}"
        )


def _saliency(first: Bundle, second: Bundle) -> Iterator[str]:
    """What the classes look at: the share on the object, and what the second says of the first."""
    a, b = first.manifest, second.manifest
    old, new = ({one.name: one for one in looks(side)} for side in (a, b))
    if bool(old) != bool(new):
        yield "not measured any more" if old else "measured now"
    moved = {
        name: (old[name].on_object, new[name].on_object)
        for name in new
        if name in old and old[name].on_object != new[name].on_object
    }
    if moved:
        worst = sorted(moved, key=lambda name: -abs(moved[name][0] - moved[name][1]))
        words = [f"{name} {moved[name][0]:.0%} -> {moved[name][1]:.0%}" for name in worst]
        yield f"share on the object: {_some(words)}"
    if compared_with(b).get("digest") == a.digest:
        like = [f"{name} {like_before(one)}" for name, one in new.items() if one.stability != 1]
        if like:
            yield f"looks like before (1: the same): {_some(like)}"


def _profiles(first: Bundle, second: Bundle) -> Iterator[str]:
    before, after = Profile.of(first), Profile.of(second)
    if (before is None) != (after is None):
        yield "there is none any more" if after is None else "there is one now"
    if before is None or after is None:
        return
    counts = before.histograms.frames, after.histograms.frames
    if counts[0] != counts[1]:
        yield f"{counts[0]} images, now {counts[1]}"
    for name, value in profile_psi(first, second).items():
        if value > 0:
            old, new = before.histograms.counts[name], after.histograms.counts[name]
            yield f"{name}: PSI {value:.3f}, {psi_words(value, old, new)}"


def psi_words(value: float, old: Counts, new: Counts) -> str:
    """What an index means, given how much was counted on either side.

    Under "nothing changed" it is about (1/n + 1/m) times a chi-squared variable with one degree of
    freedom less than there are bins; the limit is 2.33 of its standard deviations above its mean.
    """
    degrees = len(old) - 1
    noise = (1 / old.sum() + 1 / new.sum()) * (degrees + 2.33 * sqrt(2 * degrees))
    if value <= noise:
        return "no more than by chance"
    return next(text for limit, text in PSI_WORDS if value < limit)


def _reference(first: Bundle, second: Bundle) -> Iterator[str]:
    hashes = [
        _hash(one, one.reference_image) if one.reference_image else None
        for one in (first.manifest, second.manifest)
    ]
    if hashes[0] != hashes[1]:
        yield {(True, False): "there is one now", (False, True): "there is none any more"}.get(
            (hashes[0] is None, hashes[1] is None), "another picture"
        )


def _source(first: Bundle, second: Bundle) -> Iterator[str]:
    yield from _table(first.manifest.source, second.manifest.source)


def _files(first: Bundle, second: Bundle) -> Iterator[str]:
    old = {entry.path: entry for entry in first.manifest.files}
    new = {entry.path: entry for entry in second.manifest.files}
    groups = {
        "gone": sorted(old.keys() - new.keys()),
        "new": sorted(new.keys() - old.keys()),
        "changed": sorted(
            path for path in old.keys() & new.keys() if old[path].sha256 != new[path].sha256
        ),
    }
    for words, paths in groups.items():
        if paths:
            yield f"{len(paths)} {words}: {_some(paths)}"
    known = {entry.sha256 for entry in old.values()}
    loaded = {entry.sha256: entry.size for entry in new.values() if entry.sha256 not in known}
    yield f"a device that has the first downloads {human(sum(loaded.values()))}"


AREAS: dict[str, Callable[[Bundle, Bundle], Iterator[str]]] = {
    "release": _release,
    "classes": _classes,
    "head": _head,
    "input": _contract("input"),
    "decode": _contract("decode"),
    "variants": _variants,
    "golden": _golden,
    "saliency": _saliency,
    "profile": _profiles,
    "reference": _reference,
    "source": _source,
    "files": _files,
}


def _table(old: Mapping[str, Any], new: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """What differs between two tables, key by key, nested ones with their path."""
    for key in sorted({*old, *new}):
        one, other = old.get(key), new.get(key)
        if one == other or (not one and not other and not _plain(one) and not _plain(other)):
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _table(one, other, f"{before}{key}.")
        else:
            yield f"{before}{key} {_word(one)}, now {_word(other)}"


def _plain(value: object) -> bool:
    """Whether it is a number or a truth: none of those is the same as nothing."""
    return isinstance(value, (int, float))


def _word(value: object) -> str:
    if value is None or value == "":
        return "absent"
    if isinstance(value, (dict, list)):
        return f"({len(value)} entries)"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:12]}…"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _hash(manifest: Manifest, path: str) -> str:
    return manifest.entry(path).sha256


def _size(manifest: Manifest, path: str) -> str:
    return human(manifest.entry(path).size)
