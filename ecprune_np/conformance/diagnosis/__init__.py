"""Which mistake it is: wrong answers are compared with the catalogue, with relations, and by their pattern."""

from ._diagnose import diagnose
from ._finding import Finding

__all__ = ["Finding", "diagnose"]
