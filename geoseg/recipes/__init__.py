"""Published systems, each as the settings that train it; the networks and losses are elsewhere.

A recipe is one file. ``geoseg train RECIPE --set variant=NAME --set preset=quick`` names what is in
it.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from textwrap import indent
from typing import Any

from geoseg.errors import UserError
from geoseg.recipes import (
    cam_landsat,
    deep_fusion,
    dfcnet,
    fcn_buildings,
    unet,
    unet_lovasz,
)
from geoseg.recipes.reading import Read, checked, options_of, told
from geoseg.recipes.recipe import Published, Recipe
from geoseg.recipes.telling import layout_of, told_settings
from geoseg.segmenter import Segmenter
from geoseg.train import Dataset, Progress, Settings, changed, fit, read_dataset
from geoseg.train.data import spec
from geoseg.train.data.labels import FILE_NAME
from geoseg.train.settings import as_pair, names

__all__ = ["RECIPES", "Published", "Recipe", "describe", "find_recipe", "overview", "train_files"]

MODULES = {
    each.RECIPE.name: each
    for each in (unet, unet_lovasz, dfcnet, deep_fusion, fcn_buildings, cam_landsat)
}

RECIPES: dict[str, Recipe] = {name: module.RECIPE for name, module in MODULES.items()}

DATA = "data"
"""Instead of a recipe's name: how data sets are described."""

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


def describe(name: str) -> str:
    """What a recipe is, where it is from, what can be set of it, and how its folder is read.

    ``data`` names how any data set is described in YAML.

    Raises
    ------
    UserError
        When there is none of that name.
    """
    if name == DATA:
        return inspect.cleandoc(spec.__doc__ or "")
    recipe = find_recipe(name)
    read = recipe.reader()
    parts = [
        (MODULES[name].__doc__ or "").strip(),
        "Settings, as published unless a variant or preset is named, to be changed by --set:",
        told_settings(recipe),
    ]
    if read:
        layout = layout_of(recipe.laid_out or read)
        parts += ["The folder of --data; a YAML file instead is told by geoseg recipes data:"]
        parts += [indent(layout, "    ")] if layout else []
        options = told(read)
        parts += ["Of the folder, to be changed by --set as well:", options] if options else []
    return "\n\n".join(parts)


def overview() -> str:
    """Every recipe with its variants and presets, for the terminal."""
    lines: list[str] = []
    for name, recipe in RECIPES.items():
        lines += [name, f"    {recipe.about}"]
        axes = [" | ".join(axis) for axis in recipe.variants]
        lines += [f"    variant  {' + '.join(f'({axis})' for axis in axes)}"] if axes else []
        lines += [f"    preset   {' | '.join(recipe.presets)}"]
    lines += [
        "",
        "Of the words between bars the first is meant where none is named. Name others as in",
        "    geoseg train RECIPE --data DATA --out MODEL --set variant=A+B --set preset=quick",
        "geoseg recipes NAME tells all about one, its settings and its folder; geoseg recipes data",
        "how to describe labelled rasters of your own in a YAML file, for any recipe.",
    ]
    return "\n".join(lines)


def train_files(
    recipe: str,
    data: str | PathLike[str],
    out: str | PathLike[str],
    settings: Sequence[str] = (),
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    on_progress: Progress | None = None,
    report: str | PathLike[str] | None = None,
) -> Segmenter:
    """Train a model from files; what the command line calls.

    Parameters
    ----------
    recipe : str
        A key of `RECIPES`.
    data : path-like
        A folder in the published layout of the recipe's data set; or a YAML file, see
        `geoseg.train.data.spec`, or a folder with one named ``dataset.yaml``.
    out : path-like
        The model file.
    settings : sequence of str
        As ``key=value``: ``variant`` and ``preset`` choose among those of the recipe,
        ``root=DIR`` says where images and labels of a YAML file are, ``classmate=DATA`` where the
        second task of a network with two lies; others change a setting, see
        `geoseg.train.changed`, or else an option of what reads the folder, as `describe` lists
        them.
    resume, overwrite, device, on_progress, report
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
    named = own.get("variant", ""), own.get("preset", "paper")
    read, path = found.reader(*named), Path(fspath(data))
    values = dict(map(as_pair, rest))
    plain = found.chosen(*named)
    of_reader = _taken(values, plain, read)
    chosen = changed(plain, values)
    if read and of_reader:
        _refuse_described(path, of_reader)
        read = partial(read, **checked(read, of_reader))
    first, second = _read(read, path, own.get("root")), None
    if "classmate" in own:
        second = _read(found.read_classmate or read, Path(own["classmate"]), None)
    return fit(
        chosen,
        first,
        out,
        classmate=second,
        resume=resume,
        overwrite=overwrite,
        device=device,
        on_progress=on_progress,
        report=report,
        published=found.published,
    )


def _taken(values: dict[str, Any], settings: Settings, read: Read | None) -> dict[str, Any]:
    """Options of the reader, taken out of `values`; a setting of that name comes first."""
    known, options = names(settings, values), list(options_of(read)) if read else []
    unknown = sorted(values.keys() - {*known, *options})
    if unknown:
        there = ", ".join([*known, *options, *OWN])
        raise UserError(f"there is no setting {unknown[0]!r}; choose from {there}")
    return {name: values.pop(name) for name in list(values) if name not in known}


def _is_described(path: Path) -> bool:
    return not os.path.isdir(path) or (path / FILE_NAME).is_file()


def _refuse_described(path: Path, options: dict[str, Any]) -> None:
    if _is_described(path):
        raise UserError(
            f"{', '.join(sorted(options))}: how a folder in the published layout is read, but "
            f"{path} is described by a YAML file; leave it out, and say there what is meant"
        )


def _read(read: Read | None, path: Path, root: str | None) -> Dataset:
    """The data set at a path: as it is described, or in the recipe's own layout."""
    if read is None or _is_described(path):
        return read_dataset(path, *([root] if root else []))
    if root:
        raise UserError(
            f"root={root} is for data sets that a YAML file describes, and {path} is a folder "
            "without one; leave it out"
        )
    return read(path)
