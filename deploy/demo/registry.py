"""The demo's MLflow registry: logs a checkpoint as ultralytics' callback does and promotes it."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

MODEL = "defects"
ALIAS = "production"


class Registry:
    """A registry in one SQLite file with its artifacts in a folder beside it."""

    def __init__(self, folder: Path) -> None:
        """Create the registered model."""
        import mlflow

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        folder.mkdir(parents=True, exist_ok=True)
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self._client: Any = mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        self._experiment = self._client.create_experiment(
            "line-1", artifact_location=(folder / "artifacts").as_uri()
        )
        self._client.create_registered_model(MODEL)

    def promote(self, checkpoint: Path, note: str) -> int:
        """Log ``checkpoint`` as a run's ``weights/best.pt``, register it, move the alias to it.

        Returns:
            The new model version.
        """
        run = self._client.create_run(self._experiment, run_name=note)
        with tempfile.TemporaryDirectory() as folder:
            best = Path(folder) / "best.pt"  # the name that training gives it
            shutil.copyfile(checkpoint, best)
            self._client.log_artifact(run.info.run_id, str(best), "weights")
        self._client.set_terminated(run.info.run_id)
        version = self._client.create_model_version(
            MODEL,
            source=f"runs:/{run.info.run_id}/weights",
            run_id=run.info.run_id,
            description=note,
        )
        self._client.set_registered_model_alias(MODEL, ALIAS, version.version)
        return int(version.version)

    def tags(self, version: int) -> dict[str, str]:
        """The tags that publishing wrote back."""
        return dict(self._client.get_model_version(MODEL, str(version)).tags)
