"""A small U-Net for any labelled rasters: what to try first."""

from __future__ import annotations

from geoseg.recipes.recipe import Recipe
from geoseg.train import Settings
from geoseg.train.data.readers import folder

__all__ = ["RECIPE"]

RECIPE = Recipe(
    name="unet",
    about="A small U-Net for any labelled rasters: images/ with labels/, or as a YAML file says.",
    settings=Settings(),
    read=folder,
    presets={"paper": {}, "quick": {"steps": 60, "crop": 64, "batch": 4}},
    small={"unet": {"widths": [8, 16, 32]}},
)
