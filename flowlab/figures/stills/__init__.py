"""Figures as PNG, for what cannot draw them itself: notebooks on a page without a kernel, and print."""

from flowlab.figures.stills.notebook import encoded, save, stills_in_notebooks
from flowlab.figures.stills.page_style import style

__all__ = ["encoded", "save", "stills_in_notebooks", "style"]
