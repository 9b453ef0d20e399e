"""The release repository's write side, seen through python-tuf's own client."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from edge_agent.bundle import Bundle
from edge_agent.checked import canonical_json
from edge_agent.errors import BundleError, RepositoryError, StorageError
from edge_agent.release import repo as release_repo
from edge_agent.release.chain import utc_now
from edge_agent.release.repo import Expiry, Release, ReleaseRepository

SPEC = {
    "input": {
        "width": 64, "height": 64, "layout": "NCHW", "colour": "RGB", "scale": 1 / 255,
        "pad_value": 114, "interpolation": "linear", "scaleup": True, "rounding": "round-0.1",
    },
    "decode": {"confidence": 0.25, "iou": 0.7, "max_detections": 300, "floor": 0.05},
}  # fmt: skip


def make_bundle(root: Path, version: int = 1, model: bytes = b"model") -> Bundle:
    """The smallest bundle that verifies; its files hold no real model."""
    files = {"model/fp32.onnx": model, "golden/expected.json": b"{}"}
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    document = {
        "schema_version": 1, "name": "defects", "version": version, "head": "yolov5u",
        "created": "2026-11-01T00:00:00Z", "classes": ["dent"], **SPEC,
        "variants": [
            {"id": "fp32", "precision": "fp32", "path": "model/fp32.onnx", "opset": 17,
             "parity": {}}
        ],
        "golden": {
            "path": "golden/expected.json", "reference": "fp32-graph", "frames": 1,
            "synthetic": False, "tolerance": {"fp32": {"iou": 0.99, "score": 0.001}},
        },
        "files": [
            {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for path, data in sorted(files.items())
        ],
    }  # fmt: skip
    (root / "manifest.json").write_bytes(canonical_json(document))
    return Bundle.open(root)


class Folder(FetcherInterface):
    """python-tuf's fetcher over a folder instead of HTTP."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = Path(url.removeprefix("file://"))
        if not path.exists():
            raise DownloadHTTPError("not there", 404)
        yield path.read_bytes()


def client(repo: Path, state: Path) -> Updater:
    """A device: python-tuf's client with the embedded root."""
    state.mkdir(exist_ok=True)
    return Updater(
        metadata_dir=str(state),
        metadata_base_url=f"file://{repo}/metadata/",
        target_dir=str(state),
        target_base_url=f"file://{repo}/targets/",
        fetcher=Folder(),
        bootstrap=(repo / "root.json").read_bytes(),
    )


def fetch(repo: Path, state: Path, path: str) -> bytes | None:
    """What a fresh run of the client finds at a target path."""
    updater = client(repo, state)
    updater.refresh()
    info = updater.get_targetinfo(path)
    if info is None:
        return None
    return Path(updater.download_target(info, str(state / "target"))).read_bytes()


@pytest.fixture
def repository(tmp_path: Path) -> ReleaseRepository:
    """A new repository with all keys."""
    return release_repo.init(tmp_path / "repo", tmp_path / "keys")


def rollout(revision: int, **more: object) -> bytes:
    """A rollout document; its rules live in registry_sync."""
    return canonical_json({"group": "line-1", "revision": revision, **more})


def test_publish_is_what_a_client_verifies(repository, tmp_path):
    """python-tuf's client downloads the manifest, and the blobs lie under their hashes."""
    bundle = make_bundle(tmp_path / "b")
    published = repository.publish_release(bundle)
    data = fetch(repository.repo, tmp_path / "client", "releases/defects/1.json")
    assert data == bundle.manifest.to_bytes()
    assert published.digest == hashlib.sha256(data).hexdigest()
    assert (published.new_blobs, published.bytes) == (2, 7)
    for entry in bundle.manifest.files:
        blob = repository.repo / "blobs" / "sha256" / entry.sha256
        assert blob.read_bytes() == bundle.path(entry.path).read_bytes()
    assert repository.release("defects", 1) == bundle.manifest
    assert repository.releases() == [Release("defects", 1, published.digest)]


def test_republishing_changes_nothing(repository, tmp_path):
    """The same bundle again writes no metadata; a blob that was lost meanwhile is healed."""
    bundle = make_bundle(tmp_path / "b")
    repository.publish_release(bundle)
    before = (repository.repo / "metadata" / "timestamp.json").read_bytes()
    blob = repository.repo / "blobs" / "sha256" / bundle.manifest.files[0].sha256
    blob.unlink()
    again = repository.publish_release(bundle)
    assert again.new_blobs == 1 and blob.exists()
    assert (repository.repo / "metadata" / "timestamp.json").read_bytes() == before


def test_a_release_never_changes(repository, tmp_path):
    """The same version with other content is refused and nothing is written."""
    repository.publish_release(make_bundle(tmp_path / "a"))
    before = sorted(repository.repo.rglob("*"))
    with pytest.raises(RepositoryError, match=r"defects 1 is published as .* a release never"):
        repository.publish_release(make_bundle(tmp_path / "b", model=b"other"))
    assert sorted(repository.repo.rglob("*")) == before


def test_damaged_bundle_is_not_published(repository, tmp_path):
    """Hashes are checked before anything is copied."""
    bundle = make_bundle(tmp_path / "b")
    bundle.path("model/fp32.onnx").write_bytes(b"m0del")
    with pytest.raises(BundleError, match="damaged"):
        repository.publish_release(bundle)
    assert list((repository.repo / "blobs" / "sha256").iterdir()) == []


def test_unknown_release_names_what_there_is(repository, tmp_path):
    """A mistyped version or name says what is published."""
    repository.publish_release(make_bundle(tmp_path / "b"))
    with pytest.raises(RepositoryError, match=r'there is defects 1; did you mean "defects 1"\?'):
        repository.release("defect", 1)


def test_rollout_reaches_the_client_and_only_grows(repository, tmp_path):
    """A newer revision replaces; an equal document is a no-op; an older revision is refused."""
    assert repository.read_rollout("line-1") is None
    repository.put_rollout("line-1", rollout(1))
    repository.put_rollout("line-1", rollout(2, state="running"))
    repository.put_rollout("line-1", rollout(2, state="running"))
    assert repository.read_rollout("line-1") == json.loads(rollout(2, state="running"))
    assert fetch(repository.repo, tmp_path / "c", "rollouts/line-1.json") == rollout(
        2, state="running"
    )
    with pytest.raises(RepositoryError, match="revision 2 is published already"):
        repository.put_rollout("line-1", rollout(2, state="aborted"))
    assert repository.groups() == ["line-1"]


@pytest.mark.parametrize(
    ("group", "document"),
    [("../x", rollout(1)), ("line-1", b"{}"), ("line-1", b"[]"), ("line-1", b"\xff")],
)
def test_bad_rollout_is_refused(repository, group, document):
    """Group names are file names and a document carries its revision."""
    with pytest.raises(RepositoryError, match="rollout of"):
        repository.put_rollout(group, document)


def test_keys_are_separate_duties(repository, tmp_path):
    """A builder cannot deploy, an operator cannot publish; the message names the missing key."""
    builder, operator = tmp_path / "builder", tmp_path / "operator"
    for folder, role in ((builder, "releases"), (operator, "rollouts")):
        folder.mkdir()
        for name in (role, "snapshot", "timestamp"):
            shutil.copy2(repository.keys / f"{name}.pem", folder)
    bundle = make_bundle(tmp_path / "b")
    repo = repository.repo
    with pytest.raises(RepositoryError, match=r"builder/rollouts\.pem: is missing"):
        ReleaseRepository.open(repo, builder).put_rollout("line-1", rollout(1))
    with pytest.raises(RepositoryError, match=r"operator/releases\.pem: is missing"):
        ReleaseRepository.open(repo, operator).publish_release(bundle)
    ReleaseRepository.open(repo, builder).publish_release(bundle)
    ReleaseRepository.open(repo, operator).put_rollout("line-1", rollout(1))
    assert fetch(repo, tmp_path / "c", "rollouts/line-1.json") == rollout(1)


def test_key_files_are_private_and_checked(repository, tmp_path):
    """Modes are 0600; a readable, foreign or broken key is refused by name."""
    for path in repository.keys.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    other = release_repo.init(tmp_path / "repo2", tmp_path / "keys2")
    bundle = make_bundle(tmp_path / "b")
    with pytest.raises(RepositoryError, match=r"releases\.pem: 0 of 1 keys that this repository"):
        ReleaseRepository.open(repository.repo, other.keys).publish_release(bundle)
    key = other.keys / "releases.pem"
    key.chmod(0o644)
    with pytest.raises(RepositoryError, match=r"chmod 600"):
        other.publish_release(bundle)
    key.chmod(0o600)
    key.write_text("not a key")
    with pytest.raises(RepositoryError, match=r"releases\.pem: not a private key"):
        other.publish_release(bundle)
    with pytest.raises(RepositoryError, match="--keys"):
        ReleaseRepository.open(repository.repo).publish_release(bundle)


def test_threshold_of_offline_keys(tmp_path):
    """Two of three root keys must sign; one key left can no longer renew the root."""
    repository = release_repo.init(
        tmp_path / "repo", tmp_path / "keys", offline_keys=3, threshold=2
    )
    assert {path.name for path in repository.keys.glob("root*")} == {
        "root.pem", "root-2.pem", "root-3.pem"
    }  # fmt: skip
    client(repository.repo, tmp_path / "c").refresh()
    later = lambda: utc_now() + timedelta(days=300)  # noqa: E731
    for name in ("root-2.pem", "root-3.pem"):
        (repository.keys / name).unlink()
    late = ReleaseRepository.open(repository.repo, repository.keys, now=later)
    assert "root" not in late.refresh_timestamp()
    with pytest.raises(RepositoryError, match="threshold of 2"):
        release_repo.init(tmp_path / "r", tmp_path / "k", offline_keys=1, threshold=2)


def test_init_does_not_overwrite(repository):
    """A second init says so and changes nothing."""
    before = (repository.repo / "root.json").read_bytes()
    with pytest.raises(RepositoryError, match="already"):
        release_repo.init(repository.repo, repository.keys)
    assert (repository.repo / "root.json").read_bytes() == before


def test_interrupted_init_is_repeated(repository, tmp_path):
    """Without timestamp.json there is no repository yet: a second init finishes with its keys."""
    keys = {path.name: path.read_bytes() for path in repository.keys.iterdir()}
    (repository.repo / "metadata" / "timestamp.json").unlink()
    (repository.repo / "metadata" / "1.snapshot.json").unlink()
    again = release_repo.init(repository.repo, repository.keys)
    assert {path.name: path.read_bytes() for path in again.keys.iterdir()} == keys
    client(again.repo, tmp_path / "c").refresh()


def test_refresh_renews_what_is_due(tmp_path):
    """Timestamp always; the rest below half of its own life, which travels in the metadata."""
    repo, keys = tmp_path / "repo", tmp_path / "keys"
    repository = release_repo.init(repo, keys, expiry=Expiry(timestamp=1, snapshot=9))
    assert repository.refresh_timestamp() == ["timestamp"]
    later = ReleaseRepository.open(repo, keys, now=lambda: utc_now() + timedelta(days=5))
    assert later.refresh_timestamp() == ["snapshot", "timestamp"]
    half = ReleaseRepository.open(repo, keys, now=lambda: utc_now() + timedelta(days=200))
    assert half.refresh_timestamp() == [
        "root", "targets", "releases", "rollouts", "snapshot", "timestamp"
    ]  # fmt: skip
    assert (repo / "metadata" / "2.root.json").read_bytes() == (repo / "root.json").read_bytes()
    client(repo, tmp_path / "c").refresh()
    timestamp = json.loads((repo / "metadata" / "timestamp.json").read_bytes())["signed"]
    days = utc_now() + timedelta(days=201)
    assert abs(days.timestamp() - _moment(timestamp["expires"])) < 60


def test_refresh_tells_of_a_broken_key(repository):
    """A key that is absent is skipped, one that is here and damaged is an error."""
    (repository.keys / "root.pem").unlink()
    late = ReleaseRepository.open(
        repository.repo, repository.keys, now=lambda: utc_now() + timedelta(days=300)
    )
    assert late.refresh_timestamp() == ["targets", "releases", "rollouts", "snapshot", "timestamp"]
    (repository.keys / "targets.pem").write_text("damaged")
    later = ReleaseRepository.open(
        repository.repo, repository.keys, now=lambda: utc_now() + timedelta(days=600)
    )
    with pytest.raises(RepositoryError, match=r"targets\.pem: not a private key"):
        later.refresh_timestamp()


def _moment(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_expired_targets_stop_the_writer(tmp_path, repository):
    """Devices would refuse it, so the publisher hears it first."""
    late = ReleaseRepository.open(
        repository.repo, repository.keys, now=lambda: utc_now() + timedelta(days=400)
    )
    with pytest.raises(RepositoryError, match=r"'root' expired.*repo refresh"):
        late.publish_release(make_bundle(tmp_path / "b"))


@pytest.mark.parametrize("name", ["timestamp.json", "1.snapshot.json", "1.releases.json"])
@pytest.mark.parametrize("damage", [b"", b"{}", b'{"signatures": [], "signed": {}}'])
def test_damaged_metadata_is_one_clear_line(repository, name, damage):
    """A writer does not build on metadata that does not verify."""
    (repository.repo / "metadata" / name).write_bytes(damage)
    with pytest.raises(RepositoryError, match=name):
        ReleaseRepository.open(repository.repo)


def test_forged_releases_are_refused(repository, tmp_path):
    """Metadata signed by a key that the root does not name is not extended."""
    other = release_repo.init(tmp_path / "repo2", tmp_path / "keys2")
    shutil.copy(
        other.repo / "metadata" / "1.releases.json",
        repository.repo / "metadata" / "1.releases.json",
    )
    with pytest.raises(RepositoryError, match="releases"):
        ReleaseRepository.open(repository.repo)


def test_not_a_repository(tmp_path):
    """The message says how to make one."""
    with pytest.raises(RepositoryError, match="repo init"):
        ReleaseRepository.open(tmp_path)


_KILLED = """
import os, sys
from pathlib import Path
from edge_agent.bundle import Bundle
from edge_agent.release.repo import ReleaseRepository
left = int(sys.argv[1])
replace = os.replace
def counted(source, target):
    global left
    if left == 0:
        os._exit(9)
    left -= 1
    replace(source, target)
os.replace = counted
repository = ReleaseRepository.open(Path(sys.argv[2]), Path(sys.argv[3]))
repository.publish_release(Bundle.open(Path(sys.argv[4])))
"""


def test_killed_writer_leaves_a_consistent_repository(repository, tmp_path):
    """At each rename of a publication: clients see old or new, and the next writer finishes."""
    first, second = make_bundle(tmp_path / "1"), make_bundle(tmp_path / "2", 2, b"model two")
    repository.publish_release(first)
    seen = []
    for renames in range(5):
        repo = tmp_path / f"repo{renames}"
        shutil.copytree(repository.repo, repo)
        command = [sys.executable, "-c", _KILLED, str(renames), repo, repository.keys, second.root]
        assert subprocess.run(command, check=False).returncode == 9
        state = tmp_path / f"client{renames}"
        assert fetch(repo, state, "releases/defects/1.json") == first.manifest.to_bytes()
        seen.append(fetch(repo, state, "releases/defects/2.json"))
        ReleaseRepository.open(repo, repository.keys).publish_release(second)
        assert fetch(repo, state, "releases/defects/2.json") == second.manifest.to_bytes()
    assert seen == [None] * 5


def test_writers_take_turns(repository, tmp_path):
    """Eight releases published at once from eight threads are all there, versions gapless."""
    bundles = [make_bundle(tmp_path / str(version), version) for version in range(1, 9)]
    work = [
        threading.Thread(target=ReleaseRepository.open(repository.repo, repository.keys)
                         .publish_release, args=(bundle,))
        for bundle in bundles
    ]  # fmt: skip
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert [release.version for release in repository.releases()] == list(range(1, 9))
    assert (repository.repo / "metadata" / "9.snapshot.json").exists()
    client(repository.repo, tmp_path / "c").refresh()


def test_full_disk_is_a_storage_error(repository, tmp_path, monkeypatch):
    """ENOSPC while a blob is copied: a clear error, no half blob, old state for clients."""
    bundle = make_bundle(tmp_path / "b")

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="the disk is full"):
        repository.publish_release(bundle)
    monkeypatch.undo()
    assert list((repository.repo / "blobs" / "sha256").iterdir()) == []
    assert repository.releases() == []
