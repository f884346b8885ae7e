"""The cluster's tests are collected only where the plugin has started a cluster for them."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return None if config.pluginmanager.hasplugin("tests.cluster.plugin") else True
