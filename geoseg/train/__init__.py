"""Train a network on labelled rasters, with the window loader that prediction uses.

From files, as ``geoseg train`` does, it is `geoseg.recipes.train_files`. From scenes in memory::

    data = Dataset(
        name="rivers",
        description="Where it works, where it does not.",
        classes=as_classes(["land", "water"]),
        bands=("red", "green", "blue"),
        training=[Scene(image, labels), ...],     # labels: indices 0..K-1, 255 is ignored
        held_out=[Scene(image, labels), ...],     # scored at the end, for the card
        gsd=10.0,
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
