"""Where frames are offered: chosen and counted in the camera's way, written by another thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from edge_agent.captures.choose import Chooser
from edge_agent.captures.counts import Counts
from edge_agent.captures.describe import Pick, describe
from edge_agent.captures.disk import Folder
from edge_agent.captures.limits import Limits
from edge_agent.captures.masks import masks_of, visible
from edge_agent.captures.notices import Notices
from edge_agent.captures.reasons import ERROR, REASONS, STUCK, Evidence, Why
from edge_agent.captures.store import Opened, Store
from edge_agent.captures.writer import STUCK_S, Encoding, Outcome, Writer
from edge_agent.checked import plural
from edge_agent.metrics import Message

if TYPE_CHECKING:
    from edge_agent.config import Capture, Config
    from edge_agent.detection.decode import Floats
    from edge_agent.loop.seen import Listener, Seen

log = logging.getLogger(__name__)


class Recorder:
    """Keeps hard frames of all cameras.

    Args:
        settings: the ``[capture]`` section.
        store: where they go.
        tell: for events; must not block.
        device: its id, for the sidecars.
        boot: identity of this agent process.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: Capture,
        store: Store,
        tell: Callable[[Message, int], None],
        *,
        device: str,
        boot: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._store = store
        self._tell = tell
        self._boot = boot
        self._clock = clock
        self._counts = Counts()
        self._notices = Notices()
        self._asking = threading.Lock()
        self._limits = Limits(
            spacing_s=settings.spacing_s,
            per_minute=settings.per_minute,
            per_day=settings.per_day,
            reason_share=settings.reason_share,
        )
        self._masks = masks_of(settings.masks)
        suffix = "jpg" if settings.format == "jpeg" else "png"
        self._writer = Writer(
            store,
            Encoding(suffix, settings.quality),
            describe=partial(describe, device=device, boot=boot),
            opened=self._opened,
            done=self._done,
            clock=clock,
        )
        self._stumbled = False

    def start(self) -> None:
        """Look at what is there and begin to write, in a thread of its own."""
        self._writer.start()

    def close(self, timeout_s: float) -> None:
        """Finish what waits, within this time."""
        if not self._writer.close(timeout_s):
            log.warning("captures: the disk is slow; the last frames may be lost")

    def listener(self, camera: str) -> Listener:
        """What a camera's judge calls with each of its frames; returns at once, raises nothing."""
        seed = f"{self._settings.seed}/{camera}/{self._boot}"
        chooser = Chooser(self._settings, seed, self._clock())

        def listen(seen: Seen) -> None:
            try:
                self._look(chooser, seen)
            except Exception as error:
                self._stumble(error)

        return listen

    def offer(self, seen: Seen, reason: str, evidence: Evidence) -> bool:
        """Keep a frame for a reason that was found elsewhere, e.g. by a shadow model.

        Call it while the listener is called that got ``seen``.

        Args:
            seen: the frame and what was said of it.
            reason: one of `REASONS`.
            evidence: numbers and texts; ``text`` is the sentence for people.

        Returns:
            Whether it goes to the disk; if not, it is counted why.

        Raises:
            ValueError: a reason that is not known.
        """
        if reason not in REASONS:
            raise ValueError(f'"{reason}" is not one of {", ".join(REASONS)}')
        if reason not in self._settings.reasons:
            return False
        rest = {name: value for name, value in evidence.items() if name != "text"}
        why = Why(reason, str(evidence.get("text", reason)), rest)
        try:
            return self._keep(seen, [why], self._visible(seen), self._clock())
        except Exception as error:
            self._stumble(error)
            return False

    def totals(self) -> dict[str, int | float]:
        """Counters for ``up/metrics/system``."""
        return self._counts.totals()

    def _look(self, chooser: Chooser, seen: Seen) -> None:
        now = self._clock()
        manifest = seen.loaded.bundle.manifest
        detections = self._visible(seen)
        whys = chooser.choose(
            seen.verdict,
            detections,
            limit=seen.loaded.limit,
            classes=manifest.classes,
            release=seen.loaded.digest,
            now_s=now,
        )
        if whys:
            self._keep(seen, whys, detections, now)

    def _visible(self, seen: Seen) -> Floats | None:
        """The detections that no mask hides: what nobody may see is no reason for anything."""
        if seen.result is None:
            return None
        mask = self._masks.get(seen.frame.camera)
        if mask is None:
            return seen.result.detections
        height, width = seen.frame.image.shape[:2]
        return visible(seen.result.detections, mask.of(height, width))

    def _keep(self, seen: Seen, whys: Sequence[Why], detections: Floats | None, now: float) -> bool:
        for why in whys:
            with self._asking:
                refusal = self._limits.ask(seen.frame.camera, why.reason, now)
            if not refusal:
                also = tuple(other.reason for other in whys if other is not why)
                return self._hand_over(seen, why, also, detections, now)
            self._counts.refuse(refusal)
        return False

    def _hand_over(
        self, seen: Seen, why: Why, also: tuple[str, ...], detections: Floats | None, now: float
    ) -> bool:
        mask = self._masks.get(seen.frame.camera)
        height, width = seen.frame.image.shape[:2]
        loaded = seen.loaded
        pick = Pick(
            frame=seen.frame,
            why=why,
            also=also,
            # The detector may use its array again for the next frame.
            detections=None if detections is None else detections.copy(),
            verdict=seen.verdict,
            limit=loaded.limit,
            manifest=loaded.bundle.manifest,
            model=loaded.model,
            digest=loaded.digest,
            hidden=None if mask is None else mask.of(height, width),
            at=now,
        )
        refusal = self._writer.put(pick)
        if refusal:
            self._not_kept(refusal, why.reason, now)
        if refusal == STUCK:
            self._send(
                self._notices.trouble(STUCK, f"the disk has not answered for {STUCK_S:.0f} s")
            )
        return not refusal

    def _opened(self, found: Opened) -> None:
        """Called by the writer: what was taken before a restart counts for the day's limit."""
        now, wall = self._clock(), time.time()
        # A clock that jumped may call them younger than now; they then count from now on.
        ages = [(now - max(0.0, wall - kept.modified), kept.reason) for kept in found.kept]
        with self._asking:
            self._limits.remember(ages)
        self._counts.kept, self._counts.size = self._store.count, self._store.size
        if found.cleared:
            log.warning("captures: cleared away %s", plural(found.cleared, "half-written file"))

    def _done(self, pick: Pick, outcome: Outcome) -> None:
        """Called by the writer after each frame."""
        self._counts.kept, self._counts.size = self._store.count, self._store.size
        if not outcome.refusal:
            self._counts.take(pick.why.reason)
            messages = self._notices.taken(outcome.text, pick.frame.camera, pick.why, self._clock())
            self._send(messages, pick.manifest.version)
            return
        self._not_kept(outcome.refusal, pick.why.reason, pick.at)
        if outcome.refusal == ERROR:
            log.error("captures: a frame was not kept: %s", outcome.text)
        else:
            self._send(self._notices.trouble(outcome.refusal, outcome.text))

    def _not_kept(self, refusal: str, reason: str, at: float) -> None:
        with self._asking:
            self._limits.give_back(reason, at)
        self._counts.refuse(refusal)

    def _send(self, messages: Sequence[Message], version: int = 0) -> None:
        for message in messages:
            level = logging.INFO if message.payload["severity"] == "info" else logging.WARNING
            log.log(level, "%s", message.payload["text"])
            self._tell(message, version)

    def _stumble(self, error: Exception) -> None:
        """A fault of ours must never become the camera's; the first one is logged."""
        self._counts.refuse(ERROR)
        if not self._stumbled:
            self._stumbled = True
            log.error("captures: a frame was not looked at (%s: %s)", type(error).__name__, error)


def open_recorder(config: Config, boot: str, tell: Callable[[Message, int], None]) -> Recorder:
    """A recorder that has begun, as ``[capture]`` says."""
    settings = config.capture
    store = Store(
        Folder(config.captures),
        most_bytes=int(settings.max_mb * 1e6),
        reserve_bytes=int(settings.reserve_mb * 1e6),
    )
    recorder = Recorder(settings, store, tell, device=config.device.id, boot=boot)
    recorder.start()
    return recorder
