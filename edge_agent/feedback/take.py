"""The one door for what inspectors say, and the way back to the frame that they mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge_agent.captures import shelf
from edge_agent.captures.record import Record
from edge_agent.errors import StorageError
from edge_agent.feedback.frames import Box, Detected, FrameKey
from edge_agent.feedback.join import Pair, from_judgements, from_labels
from edge_agent.feedback.judgement import Judgement, check, fits
from edge_agent.feedback.report import Evidence, Independent, Report, count
from edge_agent.feedback.store import Store


@dataclass(frozen=True)
class Taken:
    """What became of a word: kept, and whether its frame is known.

    Attributes:
        detected: what the device reported there; None when that is not known (yet).
    """

    judgement: Judgement
    detected: Detected | None

    def words(self) -> str:
        """One sentence for whoever said it."""
        frame = self.judgement.frame
        if self.detected is None:
            return f"kept; what was detected in {frame} is not known (yet), the report looks again"
        return f"kept; the device reported {self.detected.words()} in {frame}"


def take(
    store: Store,
    judgement: Judgement,
    captures: Path | None = None,
    *,
    detected: Detected | None = None,
) -> Taken:
    """Keep what somebody says of a frame, together with what was detected in it.

    A frame that is not known is no error: its detections may be written in a few seconds, or lie
    on another device. `report` looks again.

    Args:
        store: where it is kept.
        judgement: what was said.
        captures: folder of kept frames, whose sidecars know frames that the ring has lost.
        detected: what was reported in that frame, where the caller knows it.

    Raises:
        UsageError: it cannot be about that frame (no such class, no such detection).
        StorageError: it was not kept.
    """
    key = judgement.frame
    known = detected or store.recent(key) or _captured(captures, {key}).get(key)
    if known is not None:
        check(judgement, known)
    store.judge(judgement, known)
    return Taken(judgement, known)


def report(
    store: Store, captures: Path | None = None, independent_s: Independent | None = None
) -> Report:
    """Everything that was said, joined with what was detected; see `gather`."""
    return count(*gather(store, captures, independent_s))


def gather(
    store: Store, captures: Path | None = None, independent_s: Independent | None = None
) -> tuple[list[Pair], Evidence]:
    """What was said as pairs of truth and detection, and what they rest on.

    Of frames that have labels only those count: they say everything about them.

    Args:
        store: where it is kept.
        captures: folder of kept frames, as in `take`.
        independent_s: camera -> integrated autocorrelation time in seconds, where it is known.

    Raises:
        StorageError: the file cannot be read or written.
    """
    said: dict[FrameKey, list[Judgement]] = defaultdict(list)
    for judgement in store.judgements():
        said[judgement.frame].append(judgement)
    labels, overruled = store.labels()
    known = _known(store, said.keys(), captures)
    pairs = [pair for key, truth in labels.items() for pair in from_labels(known[key], truth)]
    judged = [key for key in said if key in known and key not in labels]
    unfit = repeated = 0
    for key in judged:
        fitting = [judgement for judgement in said[key] if fits(judgement, known[key])]
        heard = from_judgements(known[key], fitting)
        pairs += heard.pairs
        unfit += len(said[key]) - len(fitting)
        repeated, overruled = repeated + heard.repeated, overruled + heard.overruled
    evidence = Evidence(
        frames=len(labels) + len(judged),
        labelled=len(labels),
        unjoined=sum(len(words) for key, words in said.items() if key not in known),
        unfit=unfit,
        repeated=repeated,
        overruled=overruled,
        independent_s=dict(independent_s or {}),
    )
    return pairs, evidence


def _known(
    store: Store, judged: Iterable[FrameKey], captures: Path | None
) -> dict[FrameKey, Detected]:
    """The frames of which something was said; those that were found only now are kept too."""
    known = store.known()
    lacking = set(judged) - known.keys()
    captured = _captured(captures, lacking)
    for key in lacking:
        detected = store.recent(key) or captured.get(key)
        if detected is not None:
            store.know(detected)
            known[key] = detected
    return known


def detected_in(record: Record) -> Detected:
    """What a capture's sidecar says was reported."""
    frame, release = record.frame, record.release
    boxes = tuple(
        Box(release.classes[int(box[5])], *box[:5])
        for box in record.detections or ()
        if box[4] > release.threshold(box)
    )
    key = FrameKey(frame.camera, frame.boot, frame.seq)
    return Detected(key, frame.captured_at, release.model, release.version, release.classes, boxes)


def _captured(folder: Path | None, wanted: set[FrameKey]) -> dict[FrameKey, Detected]:
    """The wanted frames that were captured and judged by the model."""
    if folder is None or not wanted or not folder.is_dir():
        return {}

    def meant(capture: shelf.Capture) -> bool:
        frame = capture.record.frame
        return FrameKey(frame.camera, frame.boot, frame.seq) in wanted

    try:
        found = shelf.read(folder, meant).captures
    except StorageError:  # it is another owner's; the ring may still know the frame
        return {}
    frames = (detected_in(one.record) for one in found if one.record.detections is not None)
    return {frame.key: frame for frame in frames}
