"""A tiny bundle for everything that is about captures."""

from __future__ import annotations

import pytest

from tests.bundles import make_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("captures") / "v1")
