"""From a registry version to a signed release, and back onto the version as tags."""

from __future__ import annotations

import pytest

from builder.build import build
from builder.options import BuildOptions
from builder.publish import TAG_DIGEST, TAG_PUBLISHED_AT, TAG_RELEASE, publish
from builder.sources.registry import Registry
from edge_agent.errors import RepositoryError
from edge_agent.release import repo as release_repo


@pytest.fixture
def repository(tmp_path):
    """An empty release repository."""
    return release_repo.init(tmp_path / "repo", tmp_path / "keys")


@pytest.fixture(scope="module")
def registered(registry, frames, tmp_path_factory):
    """A bundle of version 1 of the registry."""
    options = BuildOptions(reference_data=frames, prove="never")
    output = tmp_path_factory.mktemp("registered") / "bundle"
    return build("models:/squares/1", output, options, tracking_uri=registry.uri).bundle


def test_bundle_names_the_version(registered, registry):
    """Name, version, time and run come from the registry."""
    manifest = registered.manifest
    assert (manifest.name, manifest.version) == ("squares", 1)
    assert manifest.source["uri"] == "models:/squares/1"
    assert manifest.source["run_id"] == registry.run_id
    assert manifest.source["checkpoint"] == "best.pt"


def test_publishing_tags_the_version(registered, registry, repository):
    """Release, digest and time are on the version; a second time changes neither."""
    done = publish(registered, repository.repo, repository.keys, tracking_uri=registry.uri)
    digest = registered.manifest.digest
    assert done.published.new_blobs == len({f.sha256 for f in registered.manifest.files})
    tags = Registry.open(registry.uri).tags("squares", 1)
    assert (tags[TAG_RELEASE], tags[TAG_DIGEST]) == ("squares/1", digest)
    assert tags[TAG_PUBLISHED_AT].endswith("Z")
    assert repository.release("squares", 1) == registered.manifest
    again = publish(registered, repository.repo, repository.keys, tracking_uri=registry.uri)
    assert again.published.new_blobs == 0
    assert again.tags == done.tags


def test_unreachable_registry_does_not_stop_the_release(registered, repository, registry):
    """Published all the same, with the reason; the next try completes the tags."""
    done = publish(registered, repository.repo, repository.keys, tracking_uri="sqlite:///no.db")
    assert "no MLflow database here" in done.registry_error and not done.tags
    assert [release.version for release in repository.releases()] == [1]
    again = publish(registered, repository.repo, repository.keys, tracking_uri=registry.uri)
    assert again.tags and not again.registry_error


def test_local_file_has_no_version_to_tag(bundle, repository):
    """A bundle of a file is published; no registry is asked."""
    done = publish(bundle, repository.repo, repository.keys, tracking_uri="sqlite:///no.db")
    assert not done.tags and not done.registry_error


def test_missing_key(bundle, repository):
    """Nothing is published and the key file is named."""
    (repository.keys / "releases.pem").unlink()
    with pytest.raises(RepositoryError, match=r"releases\.pem"):
        publish(bundle, repository.repo, repository.keys)
    assert repository.releases() == []
