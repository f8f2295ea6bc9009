"""What labels of windows are worth: maps of classifiers by each method, and what learns from them.

    python tests/benchmarks/cam.py FOLDER [--steps N] [--preset NAME]

FOLDER holds Landsat 8 tiles with the CDL, see `geoseg.train.data.readers.landsat`. Both classifiers
of the recipe are trained; every map is scored on the held-out tiles; the best one labels the
training pixels, from which a small U-Net learns. A map that is the same everywhere, the commonest
class of the held-out pixels, is printed beside. Which map is best is decided on the validation
tiles.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from geoseg.metrics import ConfusionMatrix
from geoseg.recipes import RECIPES
from geoseg.segmenter import Segmenter
from geoseg.train import Dataset, Settings, changed, fit, scoring
from geoseg.train.data.readers import landsat_cdl
from geoseg.train.stated_loss import ImageLabels, image_labels
from geoseg.train.weak import (
    WAYS,
    Labelling,
    as_segmenter,
    compare_maps,
    majority,
    pseudo_dataset,
)

RECIPE = RECIPES["cam-landsat"]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=2000, help="Of each classifier.")
    parser.add_argument("--segmenter-steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--preset", default="recommended", choices=["paper", "recommended"])
    options = parser.parse_args()
    data = landsat_cdl(options.folder)
    with tempfile.TemporaryDirectory() as folder:
        run(data, options, Path(folder))


def run(data: Dataset, options: argparse.Namespace, folder: Path) -> None:
    """Train, score and print."""
    budget = {"steps": options.steps, "batch": options.batch, "validate_every": options.steps}
    classifiers = {}
    for variant in ("baseline", "resnet50"):
        settings = changed(RECIPE.chosen(variant, options.preset), budget)
        classifiers[variant] = fit(settings, data, folder / f"{variant}.safetensors")
    print_images(classifiers)
    model, size = classifiers["resnet50"], settings.crop
    labels = image_labels(settings.loss) or ImageLabels()
    print_maps(compare_maps(model, data.held_out, size))
    found = compare_maps(model, data.validation, size)
    best = max(found, key=lambda name: found[name].accuracy())
    maps = as_segmenter(model, **WAYS[best])
    labelled = pseudo_dataset(maps, data, Labelling(size, labels, background=None))
    print(f"\nlabels by {best}, the best of the validation tiles\n")
    print_segmenters({"labels by maps": labelled, "true labels": data}, options, folder)


def print_images(classifiers: dict[str, Segmenter]) -> None:
    """Decisions about windows."""
    print("| classifier | right decisions | commonest decisions | micro F1 | exact |")
    print("|---|---:|---:|---:|---:|")
    for name, model in classifiers.items():
        found = model.card.metrics["held_out"]["of_images"]
        columns = ("average_accuracy", "majority_accuracy", "micro_f1", "subset_accuracy")
        print(f"| {name} | {' | '.join(f'{found[each]:.3f}' for each in columns)} |")


def print_maps(found: dict[str, ConfusionMatrix]) -> None:
    """Maps by each method, and the map that is one class."""
    rows = {"commonest class": majority(next(iter(found.values()))), **found}
    print("\n| map | pixel accuracy | mIoU |\n|---|---:|---:|")
    for name, matrix in rows.items():
        print(f"| {name} | {matrix.accuracy():.3f} | {matrix.miou():.3f} |")


def print_segmenters(data: dict[str, Dataset], options: argparse.Namespace, folder: Path) -> None:
    """The same small U-Net, trained on each."""
    settings = Settings(options={"widths": [16, 32, 64]}, crop=64, steps=options.segmenter_steps)
    columns = {
        name: fit(settings, each, folder / f"{name}.safetensors").card.metrics["held_out"]
        for name, each in data.items()
    }
    print(scoring.markdown_table(columns))


if __name__ == "__main__":
    main()
