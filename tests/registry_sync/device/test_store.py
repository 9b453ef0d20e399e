"""Releases as folders of hard links: whole or absent, verified, collected."""

from __future__ import annotations

import shutil

import pytest

from edge_agent.errors import BundleError
from edge_agent.layout import Layout
from registry_sync.device.store import Store
from tests.bundles import make_bundle


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Three bundles."""
    folder = tmp_path_factory.mktemp("bundles")
    return [make_bundle(folder / str(n), version=n, golden_frames=1) for n in (1, 2, 3)]


@pytest.fixture
def store(tmp_path, bundles):
    """A store that holds the blobs of all three."""
    store = Store(Layout(tmp_path / "data", tmp_path / "run"))
    store.blobs.mkdir(parents=True)
    for bundle in bundles:
        for entry in bundle.manifest.files:
            shutil.copy(bundle.path(entry.path), store.blobs / entry.sha256)
    return store


def assemble(store, bundle):
    """Make the release folder of a bundle; its digest."""
    store.assemble("tiny", bundle.manifest, bundle.manifest.files)
    return bundle.manifest.digest


def test_assembled_and_verified(store, bundles):
    """A release folder is the bundle again, and costs no second copy on disk."""
    digest = assemble(store, bundles[0])
    assert store.verify("tiny", digest, "auto").version == 1
    entry = bundles[0].manifest.files[0]
    folder = store.layout.release("tiny", digest)
    assert (folder / entry.path).samefile(store.blobs / entry.sha256)
    assert assemble(store, bundles[0]) == digest


def test_nothing_half(store, bundles):
    """A blob that is missing leaves no folder, not even a hidden one."""
    (store.blobs / bundles[0].manifest.files[-1].sha256).unlink()
    with pytest.raises(FileNotFoundError):
        assemble(store, bundles[0])
    assert list(store.layout.model("tiny").rglob("*")) == [store.layout.model("tiny") / "releases"]


def test_damage_is_found_and_thrown_away(store, bundles):
    """A flipped bit: refused by name; blob and folder go, so that the next try fetches anew."""
    digest = assemble(store, bundles[0])
    entry = bundles[0].manifest.entry("model/fp32.onnx")
    data = bytearray((store.blobs / entry.sha256).read_bytes())
    data[100] ^= 1
    (store.blobs / entry.sha256).write_bytes(data)
    with pytest.raises(BundleError, match=r"model/fp32.onnx is damaged"):
        store.verify("tiny", digest, "auto")
    assert not store.complete("tiny", digest)
    assert not (store.blobs / entry.sha256).exists()


def test_another_manifest_is_refused(store, bundles):
    """A release folder must hold the manifest that gave it its name."""
    digest = assemble(store, bundles[0])
    manifest = store.layout.release("tiny", digest) / "manifest.json"
    manifest.unlink()
    manifest.write_bytes(bundles[1].manifest.to_bytes())
    with pytest.raises(BundleError, match="is not the manifest"):
        store.verify("tiny", digest, "auto")


def test_collected(store, bundles):
    """What is kept or linked stays with all its blobs; the rest goes, leftovers too."""
    first, second, third = (assemble(store, bundle) for bundle in bundles)
    (store.layout.model("tiny") / "baseline").symlink_to(f"releases/{third}")
    (store.layout.model("tiny") / "releases" / ".leftover.tmp").mkdir()
    (store.blobs / f"{'0' * 64}.part").write_bytes(b"half")
    store.collect("tiny", {first})
    assert store.complete("tiny", first)
    assert not store.complete("tiny", second)
    store.verify("tiny", first, "auto")
    store.verify("tiny", third, "auto")
    left = {path.name for path in store.blobs.iterdir()}
    assert left == {e.sha256 for n in (0, 2) for e in bundles[n].manifest.files}
    assert not list(store.layout.model("tiny").glob("releases/.*"))
