"""Reading the repository: what is refused, and whether the reason can be understood."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta, timezone

import pytest

from edge_agent.errors import ConfigError, RepositoryError
from edge_agent.release import repo as release_repo
from edge_agent.slots import Journal
from registry_sync.device.run import make_client
from registry_sync.fleet import rollouts
from tests.registry_sync.simulator import GROUP, MODEL, Site
from tests.registry_sync.web import serve


@pytest.fixture
def site(tmp_path):
    """A site whose release 1 is rolled out."""
    site = Site(tmp_path)
    site.publish(1, golden_frames=1, profile=False)
    site.roll_out(1)
    return site


@pytest.fixture
def journal(site):
    """The device's journal."""
    journal = Journal(site.config.layout.journal)
    yield journal
    journal.close()


def read(site, journal):
    """One poll as a new process would do it; the rollout document."""
    client = make_client(site.config, journal)
    client.refresh()
    return client.rollout(GROUP)


def refused(site, journal):
    """The line with which a poll is refused."""
    with pytest.raises(RepositoryError) as error:
        read(site, journal)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_verified_rollout_and_release(site, journal):
    """The signed document and the pinned manifest are read; a group without one has none."""
    document = read(site, journal)
    assert (document.model, document.release, document.digest) == (MODEL, 1, site.digests[1])
    client = make_client(site.config, journal)
    assert len(client.manifest(MODEL, 1, site.digests[1])) > 100
    assert client.rollout("another-line") is None
    with pytest.raises(RepositoryError, match="no such release"):
        client.manifest(MODEL, 7, site.digests[1])
    with pytest.raises(RepositoryError, match="that the rollout pinned"):
        client.manifest(MODEL, 1, "0" * 64)


def test_over_http(site, journal):
    """The same over HTTP; a second poll of an unchanged repository asks for two files."""
    with serve(site.repo) as server:
        text = site.config_path.read_text().replace(site.repo.as_uri(), server.url)
        site.config_path.write_text(text)
        assert read(site, journal).release == 1
        server.requests.clear()
        assert read(site, journal).release == 1
        asked = [path for path, _ in server.requests]
        assert asked == ["/metadata/2.root.json", "/metadata/timestamp.json"]
        server.status["/metadata/timestamp.json"] = 503
        assert "away" in refused(site, journal)


def test_away(site, journal):
    """A repository that is not there is said to be away."""
    shutil.move(site.repo, site.folder / "elsewhere")
    assert "the repository is away" in refused(site, journal)


def test_a_foreign_key(site, journal, tmp_path):
    """Metadata signed by somebody else is refused, and the root of trust is asked about."""
    read(site, journal)
    foreign = Site(_folder(tmp_path / "foreign"))
    foreign.publish(1, golden_frames=1, profile=False)
    for number in range(1, 9):
        foreign.roll_out(1, reason=f"again {number}")
    shutil.rmtree(site.repo)
    shutil.copytree(foreign.repo, site.repo)
    assert "wrong signature" in refused(site, journal)


def test_an_older_state_is_refused(site, journal):
    """A replay of yesterday's metadata is refused by python-tuf itself."""
    yesterday = site.folder / "yesterday"
    shutil.copytree(site.repo, yesterday)
    site.roll_out(1, reason="again")
    read(site, journal)
    shutil.rmtree(site.repo)
    shutil.copytree(yesterday, site.repo)
    assert "rollback attack" in refused(site, journal)


def test_zeroed_state_then_a_replay(site, journal):
    """After a power cut that zeroed the local metadata, the journal still knows what was seen."""
    yesterday = site.folder / "yesterday"
    shutil.copytree(site.repo, yesterday)
    site.roll_out(1, reason="again")
    read(site, journal)
    for path in site.config.layout.trust.glob("*.json"):
        path.write_bytes(b"")
    shutil.rmtree(site.repo)
    shutil.copytree(yesterday, site.repo)
    assert "rollback attack" in refused(site, journal)
    assert "rollback attack" in refused(site, journal)


def test_damaged_local_state_heals(site, journal):
    """Zeroed local metadata is fetched again from an honest repository."""
    read(site, journal)
    for path in site.config.layout.trust.rglob("*.json"):
        path.write_bytes(b"")
    assert read(site, journal).release == 1


def test_expired(site, journal, tmp_path):
    """Expired metadata is called expired."""
    past = datetime.now(timezone.utc) - timedelta(days=900)
    folder = _folder(tmp_path / "old")
    old = release_repo.init(folder / "repo", folder / "keys", now=lambda: past)
    shutil.rmtree(site.repo)
    shutil.copytree(old.repo, site.repo)
    (site.folder / "root.json").write_bytes((site.repo / "root.json").read_bytes())
    assert "expired" in refused(site, journal)


def test_damaged_metadata(site, journal):
    """Cut metadata does not verify."""
    path = site.repo / "metadata" / "timestamp.json"
    path.write_bytes(path.read_bytes()[:-40])
    assert "does not verify" in refused(site, journal)


def test_damaged_target(site, journal):
    """A rollout document whose bytes are not the signed ones is refused."""
    path = next((site.repo / "targets" / "rollouts").iterdir())
    path.write_bytes(path.read_bytes().replace(b'"running"', b'"aborted"'))
    assert "does not verify" in refused(site, journal)


def test_a_lower_revision(site, journal):
    """Even well signed, a document with a lower revision than seen is refused."""
    journal.remember_seen({f"rollout/{GROUP}": 5})
    assert "revision 1 is below 5" in refused(site, journal)


def test_a_document_of_another_group(site, journal):
    """A document moved under another group's name is refused."""
    stolen = rollouts.existing(site.repository, GROUP).to_bytes()
    site.repository.put_rollout("line-2", stolen)
    client = make_client(site.config, journal)
    with pytest.raises(RepositoryError, match="is the document of group 'line-1'"):
        client.rollout("line-2")


def test_without_a_root(site, journal):
    """No embedded root: the message says which file and where to get it."""
    (site.folder / "root.json").unlink()
    with pytest.raises(ConfigError, match=r"copy root.json from the release repository"):
        read(site, journal)


def _folder(path):
    path.mkdir()
    return path
