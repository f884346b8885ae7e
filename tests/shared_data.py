"""The real purchase files beside the repository, which are not part of the product."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def shared_file(name: str) -> Path:
    """Return a real file, or leave the test out where a checkout stands alone."""
    path = SHARED_DATA / name
    if not SHARED_DATA.is_dir():
        pytest.skip("../shared/data is not here: tests on the real purchase files are left out")
    return path
