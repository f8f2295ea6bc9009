"""Models of DeepGlobe land cover: one by one, averaged weights, and several models together.

    python tests/benchmarks/land_cover.py OUT NAME=MODEL ... --data DIR [--min-area PIXELS]
      [--train SHARE] [--scales A,B] [--images N]

Models are files that ``geoseg train unet-lovasz`` or ``geoseg train dfcnet`` wrote. Each one is
scored on the held-out images, then the one that is best on the validation images in all flips, then
all of them together, with their mean probability, and their map once more without its small
regions; with ``--scales`` all of them in all flips and these sizes. OUT gets the maps of these
ways: files that exist are not made again. A second table tells what averaging of weights changed,
on windows of the validation images: the scores after the last step are in a model's card.
``--train`` is the share that a recipe learns from where it keeps nothing for validation (dfcnet:
0.747), and ``--images`` scores every so many held-out images only, for ways that take long.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import rasterio
from buildings import truth_of

import geoseg
from geoseg.metrics import ConfusionMatrix
from geoseg.segmenter import Segmenter
from geoseg.train import Dataset, scoring
from geoseg.train.data.readers import deepglobe_land

MIN_AREA = 612  # the paper's 875 square metres, in pixels of 1.2 m
WINDOW = 288


@dataclass(frozen=True)
class Way:
    """How maps are made."""

    models: Sequence[Segmenter]
    options: Mapping[str, Any] = field(default_factory=dict)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("models", nargs="+", metavar="NAME=MODEL")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--min-area", type=float, default=MIN_AREA)
    parser.add_argument("--train", type=float)
    parser.add_argument("--scales", type=_numbers, default=())
    parser.add_argument("--images", type=int)
    options = parser.parse_args()
    data = deepglobe_land(options.data, train=options.train)
    scenes = data.held_out[:: max(1, len(data.held_out) // (options.images or len(data.held_out)))]
    data = replace(data, held_out=scenes)
    stated = (each.split("=", 1) for each in options.models)
    models = {name: geoseg.load(path) for name, path in stated}
    if data.validation:
        print(weights_table(models, data), flush=True)
    found = {}
    for name, way in ways_of(models, options.min_area, options.scales).items():
        found[name] = score(way, data, options.data, options.out / name.replace(" ", "-"))
        print(name, found[name]["miou"], flush=True)
    print(f"\n{scoring.markdown_table(found)}")


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(each) for each in text.split(","))


def ways_of(
    models: Mapping[str, Segmenter], min_area: float, scales: Sequence[float]
) -> dict[str, Way]:
    """What is compared."""
    ways = {name: Way([model]) for name, model in models.items()}
    best = max(models, key=lambda name: _validated(models[name]))
    ways[f"{best} in all flips"] = Way([models[best]], {"views": "flips"})
    if scales:
        many = {"views": "flips", "scales": scales}
        ways[f"{best} in all flips and sizes"] = Way([models[best]], many)
        ways["all together in all flips and sizes"] = Way(list(models.values()), many)
    if len(models) > 1:
        together = list(models.values())
        ways["all together"] = Way(together)
        ways["all together sieved"] = Way(together, {"min_area": min_area})
    return ways


def _validated(model: Segmenter) -> float:
    """How good a model is where it was not trained, as its card says."""
    metrics = model.card.metrics
    return float(metrics.get("validation", metrics["held_out"])["miou"])


def score(way: Way, data: Dataset, images: Path, folder: Path) -> dict[str, Any]:
    """Make the maps of the held-out images that are not there, and score them all."""
    folder.mkdir(parents=True, exist_ok=True)
    model = geoseg.ensemble(way.models)
    matrix = ConfusionMatrix(len(data.classes))
    for scene in data.held_out:
        name = str(scene.image.name)
        target = folder / f"{name}.tif"
        if not target.exists():
            source = images / f"{name}.jpg"
            geoseg.predict_file(source, target, model, gsd="native", **way.options)
        with rasterio.open(target) as file:
            found = scoring.without(file.read(1), data.unscored)
        matrix.update(scoring.without(truth_of(scene), data.unscored), found)
    return scoring.scores(matrix, data.classes)


def weights_table(models: Mapping[str, Segmenter], data: Dataset) -> str:
    """Validation scores of the weights of the last step, and of the averaged ones."""
    lines = ["| mIoU, validation | last step | averaged |", "|---|---:|---:|"]
    for name, model in models.items():
        last = model.card.training["history"][-1]["miou"]
        matrix = scoring.score_windows(model, data.validation, WINDOW, 8, data.unscored)
        lines.append(f"| {name} | {last:.3f} | {matrix.miou():.3f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
