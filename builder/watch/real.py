"""The real registry, builder and release repository behind the watcher's ports."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from builder.accuracy.limits import read_limits
from builder.build import build
from builder.images import Folder, read_picture
from builder.options import BuildOptions
from builder.progress import Progress
from builder.prove import obstacle
from builder.publish import TAG_DIGEST, TAG_PUBLISHED_AT, publish
from builder.sources.reference import Reference
from builder.sources.registry import Registry
from builder.sources.version import utc_text
from builder.watch.before import bring_back
from builder.watch.ports import Made, Shipped
from edge_agent.atomic import make_dirs
from edge_agent.bundle import Bundle, Manifest
from edge_agent.engines.modules import load
from edge_agent.errors import (
    BundleError,
    OutpostError,
    RepositoryError,
    UsageError,
    storage_errors,
)
from edge_agent.release.keys import read_key
from edge_agent.release.repo import ReleaseRepository


class MlflowPort:
    """One reference in one MLflow registry; each call connects anew, so that none is ever stale."""

    def __init__(self, reference: Reference, tracking_uri: str | None) -> None:
        self._reference = reference
        self._uri = tracking_uri

    def promoted(self) -> int | None:
        """See `builder.watch.ports.RegistryPort`."""
        return Registry.open(self._uri).promoted(self._reference)

    def tag(self, version: int, tags: Mapping[str, str]) -> None:
        """Write tags; the time of the first publication of the same digest stays."""
        registry, name = Registry.open(self._uri), self._reference.name
        old = registry.tags(name, version)
        if TAG_PUBLISHED_AT in old and old.get(TAG_DIGEST) == tags.get(TAG_DIGEST):
            tags = {key: value for key, value in tags.items() if key != TAG_PUBLISHED_AT}
        registry.tag(name, version, tags)


@dataclass(frozen=True)
class Workshop:
    """Builds into ``folder`` and publishes into ``repo``.

    Attributes:
        name: of the registered model.
        folder: for bundles that are being made; everything in it is ours.
        repo, keys: the release repository and its private keys.
        options: of the build.
        tracking_uri: of MLflow.
        site: address under which the repository is served, for links; "" links to the folder.
        progress: where builds tell what happens.
    """

    name: str
    folder: Path
    repo: Path
    keys: Path
    options: BuildOptions
    tracking_uri: str | None
    site: str
    progress: Progress

    def released(self, version: int) -> Shipped | None:
        """See `builder.watch.ports.WorkshopPort`."""
        repository = ReleaseRepository.open(self.repo, self.keys)
        released_as = self.options.name or self.name
        for one in repository.releases():
            if (one.name, one.version) == (released_as, version):
                return Shipped(one.digest, self._link(repository.release(one.name, version)))
        return None

    def build(self, version: int) -> Made:
        """Build ``models:/<name>/<version>`` and compare it with the release before."""
        make_dirs(self.folder)
        previous, warnings = self._before(version)
        try:
            made = build(
                f"models:/{self.name}/{version}",
                self.folder / f"{self.name}-{version}",
                replace(self.options, previous=previous),
                tracking_uri=self.tracking_uri,
                progress=self.progress,
            )
        except OutpostError as error:  # its text becomes a tag: our folder tells nobody anything
            raise type(error)(without_folder(str(error), self.folder)) from error
        return Made(made.bundle.manifest.digest, (*warnings, *made.warnings))

    def _before(self, version: int) -> tuple[Path | None, tuple[str, ...]]:
        """The bundle to compare with, and why there is none although there should be one.

        A release is not held up by an older one that has been lost.
        """
        if self.options.previous is not None:
            return self.options.previous, ()
        repository = ReleaseRepository.open(self.repo, self.keys)
        name = self.options.name or self.name
        try:
            return bring_back(repository, name, version, self.folder / "before"), ()
        except (RepositoryError, BundleError) as error:
            text = f"not compared with the release before: {error}"
            self.progress.warn(text)
            return None, (text,)

    def publish(self, version: int) -> Shipped:
        """Publish the bundle of `build`; the watcher itself tags the version."""
        bundle = Bundle.open(self.folder / f"{self.name}-{version}")
        done = publish(bundle, self.repo, self.keys, tag=False)
        return Shipped(done.published.digest, self._link(bundle.manifest), done.warnings)

    def discard(self) -> None:
        """Empty the folder."""
        if self.folder.exists():
            with storage_errors(self.folder):
                shutil.rmtree(self.folder)

    def _link(self, manifest: Manifest) -> str:
        path = f"targets/releases/{manifest.name}/{manifest.digest}.{manifest.version}.json"
        base = self.site.rstrip("/") or self.repo.absolute().as_uri()
        return f"{base}/{path}"


def without_folder(text: str, folder: Path) -> str:
    """A message with file names in the place of paths below a folder that is soon gone."""
    return re.sub(re.escape(str(folder)) + r"/(?:[^\s:;,]*/)?", "", text)


def check_options(options: BuildOptions) -> None:
    """Fail at the start for what every build would fail for, before any version is blamed.

    Raises:
        OutpostError: of the kind that the build would raise.
    """
    read_limits(options.limits)
    if options.reference_data is not None:
        Folder(options.reference_data)
    if options.reference_image is not None:
        read_picture(options.reference_image)
    if options.labels is not None and not options.labels.is_dir():
        raise UsageError(f"{options.labels}: is not a folder of labels; see --labels")
    if options.previous is not None:
        Bundle.open(options.previous)
    if options.prove == "require" and (why := obstacle()):
        raise UsageError(f"--prove require: {why}")
    if options.engine is not None:
        load(options.engine.kind)


def check_keys(repo: Path, keys: Path) -> None:
    """Fail at the start, not after the first build.

    Raises:
        RepositoryError: there is no repository, or a builder's key is missing.
    """
    ReleaseRepository.open(repo, keys)
    for role in ("releases", "snapshot", "timestamp"):
        read_key(keys / f"{role}.pem")


class EventLines:
    """Events as lines on a stream: for a person, or one JSON object each."""

    def __init__(self, *, as_json: bool, stream: TextIO | None = None) -> None:
        self._as_json = as_json
        self._stream = stream

    def __call__(self, kind: str, **facts: object) -> None:
        """See `builder.watch.ports.EventPort`."""
        at = utc_text(time.time())
        if self._as_json:
            line = json.dumps({"at": at, "event": kind, **facts}, ensure_ascii=True)
        else:
            rest = ", ".join(f"{key} {value}" for key, value in facts.items() if key != "model")
            line = f"{at} {facts.get('model', '')}: {kind}" + (f" ({rest})" if rest else "")
        print(line, file=self._stream or sys.stdout, flush=True)
