"""Every figure, registered by importing the modules that measure them."""

from tests.bench import facts, pages, purchases  # noqa: F401
from tests.bench.registry import NAMES, UnknownFigure, chosen

__all__ = ["NAMES", "UnknownFigure", "chosen"]
