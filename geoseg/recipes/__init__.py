"""Published systems, each as the settings that train it; the networks and losses are elsewhere.

A recipe is one file. ``geoseg train RECIPE --set variant=NAME --set preset=quick`` names what is in
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path

from geoseg.errors import UserError
from geoseg.recipes import unet, unet_lovasz
from geoseg.recipes.recipe import Published, Recipe
from geoseg.segmenter import Segmenter
from geoseg.train import Dataset, Progress, change, fit, read_dataset
from geoseg.train.labels import FILE_NAME

__all__ = ["RECIPES", "Published", "Recipe", "find_recipe", "train_files"]

RECIPES: dict[str, Recipe] = {each.RECIPE.name: each.RECIPE for each in (unet, unet_lovasz)}

OWN = ("variant", "preset", "root", "classmate")
"""Settings that are not of the loop: what the recipe shall be, and where the data are."""


def find_recipe(name: str) -> Recipe:
    """A recipe by its name.

    Raises
    ------
    UserError
        When there is none.
    """
    if name not in RECIPES:
        raise UserError(f"there is no recipe {name!r}; choose from {', '.join(RECIPES)}")
    return RECIPES[name]


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
        A folder in the published layout of the recipe's data set; or a YAML file, see
        `geoseg.train.spec`, or a folder with one named ``dataset.yaml``.
    out : path-like
        The model file.
    settings : sequence of str
        As ``key=value``: ``variant`` and ``preset`` choose among those of the recipe,
        ``root=DIR`` says where images and labels of a YAML file are, ``classmate=DATA`` where the
        second task of a network with two lies; others change a setting, see
        `geoseg.train.changed`.
    resume, device, on_progress
        As for `geoseg.train.fit`.

    Raises
    ------
    UserError
        When a setting, the data set or a path is not usable.
    """
    found = find_recipe(recipe)
    pairs = [each.partition("=") for each in settings]
    own = {key: value for key, equals, value in pairs if equals and key in OWN}
    rest = [each for each in settings if each.partition("=")[0] not in own]
    base = found.chosen(own.get("variant", ""), own.get("preset", "paper"))
    chosen = change(base, rest)
    return fit(
        chosen,
        _read(found, Path(fspath(data)), own.get("root")),
        out,
        classmate=_read(found, Path(own["classmate"]), None) if "classmate" in own else None,
        resume=resume,
        device=device,
        on_progress=on_progress,
    )


def _read(recipe: Recipe, path: Path, root: str | None) -> Dataset:
    """The data set at a path: as it is described, or in the recipe's own layout."""
    described = path.is_file() or (path / FILE_NAME).is_file()
    if recipe.read is None or described:
        return read_dataset(path, *([root] if root else []))
    return recipe.read(path)
