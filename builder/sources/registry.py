"""The MLflow registry: resolve, download, tag.

mlflow is heavy (about two seconds and 100 MB), chatty and calls home, so it is imported here only,
late, with its log lines, progress bars and telemetry off.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from builder.sources.artifacts import download, list_files
from builder.sources.mlmodel import SUFFIXES
from builder.sources.reference import LATEST, Reference, RunReference
from builder.sources.run import run_facts
from builder.sources.version import ModelVersion, plain_name, utc_text
from edge_agent.bundle import hash_file
from edge_agent.checked import nearest
from edge_agent.errors import RegistryError, StorageError, storage_errors

DEFAULT_URI = "sqlite:///mlflow.db"
_SHOWN = 20
_SIGN_IN = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_WHOLE_RUN = re.compile(r"runs:/+([^/]+)/*")
_COMMON_STEMS = ("best", "last", "model", "weights")
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # A registry that is down should be heard of in seconds; mlflow would try for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


class Registry:
    """One MLflow tracking server or database."""

    def __init__(self, uri: str, client: Any) -> None:
        self.uri = uri
        self.shown = without_password(uri)
        self._client = client

    @classmethod
    def open(cls, tracking_uri: str | None = None) -> Registry:
        """Connect; nothing is ever created.

        Args:
            tracking_uri: None takes MLFLOW_TRACKING_URI, else `DEFAULT_URI`.

        Raises:
            RegistryError: when there is no registry at this address.
        """
        uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
        _check_exists(uri)
        with _translated(uri):
            return cls(uri, _client(uri))

    def fetch(self, reference: Reference, downloads: Path) -> ModelVersion:
        """Resolve a reference and download its checkpoint into ``downloads``.

        Raises:
            RegistryError: no such model, alias, version or stage, or no checkpoint in it.
        """
        with _translated(self.uri):
            found = self._version(reference)
            name, version = str(found.name), int(found.version)
            location = self._whole(self._client.get_model_version_download_uri(name, str(version)))
            where = f"{self.shown}: {name} {version} ({location})"
            checkpoint, candidate = download(location, self.uri, downloads, where)
            run = run_facts(self._client, found.run_id, found.creation_timestamp)
        return ModelVersion(
            name=name,
            version=version,
            checkpoint=checkpoint,
            sha256=hash_file(checkpoint),
            uri=f"models:/{name}/{version}",
            created=utc_text(found.creation_timestamp / 1000),
            choice=candidate.choice,
            run_id=found.run_id or "",
            registered=True,
            tags=dict(found.tags),
            run=run,
        )

    def fetch_run(self, reference: RunReference, downloads: Path) -> ModelVersion:
        """Download a network of a training run, registered or not, as version 1 of its name.

        Raises:
            RegistryError: no such run, or no checkpoint below that path.
        """
        with _translated(self.uri):
            run = self._run(reference.run_id)
            where = f"{self.shown}: {reference}"
            root = run.info.artifact_uri
            location = f"{root}/{reference.path}".rstrip("/")
            if not location.lower().endswith(SUFFIXES) and not list_files(location, self.uri):
                have = _have("artifacts", sorted(list_files(root, self.uri)))
                raise RegistryError(f"{where}: nothing is there; the run: {have}")
            checkpoint, candidate = download(location, self.uri, downloads, where)
            ended = run.info.end_time or run.info.start_time
            facts = run_facts(self._client, reference.run_id, ended)
        stem = checkpoint.stem if checkpoint.stem not in _COMMON_STEMS else run.info.run_name
        return ModelVersion(
            name=plain_name(stem or ""),
            version=1,
            checkpoint=checkpoint,
            sha256=hash_file(checkpoint),
            uri=f"runs:/{reference.run_id}/{_inside(reference.path, candidate.path)}",
            created=utc_text(ended / 1000),
            choice=candidate.choice,
            run_id=reference.run_id,
            run=facts,
        )

    def promoted(self, reference: Reference) -> int | None:
        """The version that a reference means now; None when nothing carries the alias or stage.

        Raises:
            RegistryError: the registry does not answer, or has no such model.
        """
        with _translated(self.uri):
            if not reference.alias:
                fitting = self._fitting(reference, self._versions(reference.name))
                return int(fitting[-1].version) if fitting else None
            aliases = self._model(reference.name).aliases
            return int(aliases[reference.alias]) if reference.alias in aliases else None

    def tags(self, name: str, version: int) -> dict[str, str]:
        """The tags of a version; raises `RegistryError`."""
        with _translated(self.uri):
            return dict(self._client.get_model_version(name, str(version)).tags)

    def tag(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Write tags onto a version; raises `RegistryError` when it does not take them."""
        with _translated(self.uri):
            for key, value in tags.items():
                self._client.set_model_version_tag(name, str(version), key, value)

    def _version(self, reference: Reference) -> Any:
        model = self._model(reference.name)
        if reference.alias:
            aliases = {alias: int(number) for alias, number in model.aliases.items()}
            if reference.alias not in aliases:
                raise RegistryError(
                    f"{self.shown}: {reference.name} has no alias {reference.alias!r};"
                    f" {_have('aliases', aliases)}{nearest(reference.alias, aliases)};"
                    " point it at a version on the registry's page"
                )
            return self._client.get_model_version(reference.name, str(aliases[reference.alias]))
        versions = self._versions(reference.name)
        fitting = self._fitting(reference, versions)
        if not fitting:
            numbers = [v.version for v in versions]
            raise RegistryError(
                f"{self.shown}: there is no {reference}; {_have('versions', numbers)},"
                f" {_have('aliases', model.aliases)}"
            )
        return fitting[-1]

    def _fitting(self, reference: Reference, versions: list[Any]) -> list[Any]:
        if reference.version:
            return [one for one in versions if int(one.version) == reference.version]
        if reference.stage == LATEST:
            return versions
        return [one for one in versions if one.current_stage == reference.stage]

    def _run(self, run_id: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
        raise RegistryError(f"{self.shown}: no run {run_id!r}; copy its id from the run's page")

    def _whole(self, location: str) -> str:
        """A location that mlflow can list; it refuses ``runs:/<id>``, a run's whole folder."""
        match = _WHOLE_RUN.fullmatch(location)
        return str(self._run(match[1]).info.artifact_uri) if match else location

    def _model(self, name: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        names = [model.name for model in self._client.search_registered_models(max_results=1000)]
        raise RegistryError(
            f"{self.shown}: no model {name!r} in this registry;"
            f" {_have('models', names)}{nearest(name, names)}"
        )

    def _versions(self, name: str) -> list[Any]:
        found = self._client.search_model_versions(f"name='{name}'", max_results=10_000)
        return sorted(found, key=lambda version: int(version.version))


def quiet_mlflow() -> None:
    """Import mlflow without its log lines, bars, telemetry and long retries.

    Raises:
        RegistryError: when it is not installed.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow  # noqa: F401
    except ImportError as error:
        raise RegistryError(
            f"mlflow is not installed ({error}); `pip install outpost-edge[builder]`"
        ) from None
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.ERROR)


def _client(uri: str) -> Any:
    quiet_mlflow()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _check_exists(uri: str) -> None:
    """Refuse an address where mlflow would make an empty registry instead of reading one."""
    advice = "name the registry with --tracking-uri or MLFLOW_TRACKING_URI"
    parts = urlsplit(uri)
    if parts.scheme == "sqlite":
        path = Path(unquote(parts.path.removeprefix("/")))
        if not path.is_file():
            raise RegistryError(f"{path}: no MLflow database here; {advice}")
        _check_database(path, advice)
    elif parts.scheme in ("", "file") and not Path(unquote(parts.path)).is_dir():
        raise RegistryError(f"{uri}: no such folder; {advice}")


def _check_database(path: Path, advice: str) -> None:
    query = "SELECT count(*) FROM sqlite_master WHERE name = 'registered_models'"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            known = database.execute(query).fetchone()[0]
    except sqlite3.Error as error:
        raise RegistryError(f"{path}: not an MLflow database ({error}); {advice}") from None
    if not known:
        raise RegistryError(f"{path}: has no MLflow model registry in it; {advice}")


def _inside(folder: str, path: str) -> str:
    """The chosen file's path in the run; the reference may have named the file itself."""
    whole = folder.rstrip("/")
    return whole if whole.rpartition("/")[2] == path else f"{whole}/{path}".lstrip("/")


def _have(kind: str, names: Any) -> str:
    shown = [str(name) for name in names][:_SHOWN]
    return f"its {kind}: {', '.join(shown)}" if shown else f"it has no {kind}"


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """Whatever mlflow, SQLAlchemy, alembic or requests throw, in one line with the address."""
    try:
        yield
    except (RegistryError, StorageError):
        raise
    except Exception as error:
        _raise_for_disk(error)
        text = " ".join(str(error).split()).replace(uri, without_password(uri))
        if secret := urlsplit(uri).password:
            text = text.replace(secret, "***")
        text = text if len(text) <= 300 else text[:297] + "..."
        if "No space left on device" in text:  # some of mlflow's errors keep only the words
            raise StorageError(f"the disk is full, the download does not fit: {text}") from None
        advice = "check the address and that the server runs"
        if "Max retries exceeded" in text:
            text = "cannot be reached"
        if "error code 401" in text or "error code 403" in text:
            text, advice = "it refuses us", _SIGN_IN
        if "out-of-date database schema" in text:
            advice = f"run `mlflow db upgrade {without_password(uri)}`, after a backup"
        raise RegistryError(
            f"{without_password(uri)}: {text or type(error).__name__}; {advice}"
        ) from error


def _raise_for_disk(error: BaseException) -> None:
    """Raise `StorageError` when a full or broken disk is among the causes of an error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _DISK:
            with storage_errors(Path(cause.filename or "the download")):
                raise cause
        cause = cause.__cause__ or cause.__context__


def without_password(uri: str) -> str:
    """An address that may be shown."""
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    return parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")).geturl()
