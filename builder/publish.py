"""Sign a bundle into the release repository, then tell the registry."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.renamed import class_warning
from builder.sources.reference import parse_reference
from builder.sources.registry import Registry
from builder.sources.version import utc_text
from edge_agent.bundle import Bundle, Manifest
from edge_agent.errors import RegistryError, UsageError
from edge_agent.release.repo import Published, ReleaseRepository

TAG_RELEASE = "outpost.release"
TAG_DIGEST = "outpost.digest"
TAG_PUBLISHED_AT = "outpost.published_at"


@dataclass(frozen=True)
class Publication:
    """What was published, and what became of the tags.

    Attributes:
        published: by the release repository.
        tags: on the model version now; empty when it has none.
        registry_error: why the registry could not be told, or "".
        warnings: what consumers of the model should know.
    """

    published: Published
    tags: Mapping[str, str]
    registry_error: str
    warnings: tuple[str, ...] = ()


def publish(
    bundle: Bundle, repo: Path, keys: Path, *, tracking_uri: str | None = None, tag: bool = True
) -> Publication:
    """Publish a bundle and write release, digest and time onto its MLflow version as tags.

    Publishing the same bundle once more publishes nothing and completes the tags.

    Args:
        bundle: what to publish.
        repo: the release repository.
        keys: folder with releases.pem, snapshot.pem, timestamp.pem.
        tracking_uri: of MLflow.
        tag: False leaves the registry alone.

    Raises:
        BundleError: when the bundle is damaged.
        RepositoryError: when the version is published otherwise, or a key is missing.
    """
    repository = ReleaseRepository.open(repo, keys)
    warnings = news(repository, bundle.manifest)
    published = repository.publish_release(bundle)
    source = bundle.manifest.source.get("uri", "")
    if not tag or not isinstance(source, str) or not source.startswith("models:"):
        return Publication(published, {}, "", warnings)
    try:
        return Publication(published, _tag(source, published, tracking_uri), "", warnings)
    except (RegistryError, UsageError) as error:
        return Publication(published, {}, str(error), warnings)


def news(repository: ReleaseRepository, manifest: Manifest) -> tuple[str, ...]:
    """What differs from the version that was published before, where consumers depend on it.

    Raises:
        RepositoryError: when the version before cannot be read.
    """
    before = release_before(repository, manifest.name, manifest.version)
    if before is None:
        return ()
    change = class_warning(before, manifest)
    return (change,) if change else ()


def release_before(repository: ReleaseRepository, name: str, version: int) -> Manifest | None:
    """The manifest of the newest published version below ``version``, None when there is none.

    Raises:
        RepositoryError: when it cannot be read.
    """
    known = [one.version for one in repository.releases() if one.name == name]
    earlier = [one for one in known if one < version]
    return repository.release(name, max(earlier)) if earlier else None


def _tag(source: str, published: Published, tracking_uri: str | None) -> dict[str, str]:
    reference = parse_reference(source)
    registry = Registry.open(tracking_uri)
    old = registry.tags(reference.name, reference.version)
    if old.get(TAG_DIGEST) == published.digest and TAG_PUBLISHED_AT in old:
        return {name: old[name] for name in (TAG_RELEASE, TAG_DIGEST, TAG_PUBLISHED_AT)
                if name in old}  # fmt: skip
    tags = {
        TAG_RELEASE: f"{published.name}/{published.version}",
        TAG_DIGEST: published.digest,
        TAG_PUBLISHED_AT: utc_text(time.time()),
    }
    registry.tag(reference.name, reference.version, tags)
    return tags
