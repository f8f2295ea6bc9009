"""Train a network on labelled rasters, with the window loader that prediction uses.

From files, as ``geoseg train`` does::

    train_files("unet", "dataset.yaml", "model.safetensors", ["steps=2000"])

From scenes in memory::

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

from collections.abc import Sequence
from os import PathLike

from geoseg.segmenter import Segmenter
from geoseg.train.dataset import Dataset
from geoseg.train.labels import read_dataset
from geoseg.train.loop import Progress, fit
from geoseg.train.settings import RECIPES, Settings, change, find_recipe

__all__ = [
    "RECIPES",
    "Dataset",
    "Settings",
    "change",
    "fit",
    "read_dataset",
    "train_files",
]


def train_files(
    recipe: str,
    data: str | PathLike[str],
    out: str | PathLike[str],
    settings: Sequence[str] = (),
    *,
    resume: bool = False,
    device: str = "auto",
    on_progress: Progress | None = None,
) -> Segmenter:
    """Train a model from files; what the command line calls.

    Parameters
    ----------
    recipe : str
        A key of `RECIPES`.
    data : path-like
        YAML file or folder, see `geoseg.train.spec`.
    out : path-like
        The model file.
    settings : sequence of str
        Changes of the recipe as ``key=value``; ``root=DIR`` says where images and labels are.
    resume, device, on_progress
        As for `fit`.

    Raises
    ------
    UserError
        When a setting, the data set or a path is not usable.
    """
    roots = [each.removeprefix("root=") for each in settings if each.startswith("root=")]
    chosen = change(find_recipe(recipe), [s for s in settings if not s.startswith("root=")])
    dataset = read_dataset(data, *roots[-1:])
    return fit(chosen, dataset, out, resume=resume, device=device, on_progress=on_progress)
