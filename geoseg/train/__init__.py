"""Train a network on labelled rasters, with the window loader that prediction uses.

From files, as ``geoseg train`` does, it is `geoseg.recipes.train_files`. From arrays in memory::

    from geoseg.loader import Scene
    from geoseg.train import Dataset, Settings, fit

    scene = Scene(
        xr.DataArray(pixels, dims=("band", "y", "x")),
        xr.DataArray(labels, dims=("y", "x")),   # indices 0..K-1 of uint8, 255 is ignored
    )
    data = Dataset(
        name="rivers",
        description="Where it works, where it does not.",
        classes=("land", "water"),
        bands=("red", "green", "blue"),
        training=[scene],                        # as many as there are
        held_out=[other],                        # scored at the end, for the card
        gsd=10.0,                                # metres; optional
    )
    model = fit(Settings(steps=2000), data, "model.safetensors")
"""

from __future__ import annotations

from geoseg.train.data.augment import Augmentation
from geoseg.train.data.dataset import Dataset
from geoseg.train.data.labels import read_dataset
from geoseg.train.loop import Progress, fit
from geoseg.train.report.published import Published
from geoseg.train.settings import Settings, change, changed

__all__ = [
    "Augmentation",
    "Dataset",
    "Progress",
    "Published",
    "Settings",
    "change",
    "changed",
    "fit",
    "read_dataset",
]
