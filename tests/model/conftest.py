"""Let a disagreement show both sides."""

import pytest

pytest.register_assert_rewrite("tests.model.lives", "tests.model.stored")
