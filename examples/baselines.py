"""Two baselines beside a model, on the same held-out pixels: majority class and random forest.

    python examples/baselines.py examples/landsat8_crops.yaml --root FOLDER --model MODEL --write

Both are fitted on the training pixels that the model learnt from. The forest sees single pixels,
so the difference is what context is worth. ``--write`` adds the scores to the model's card.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

import geoseg
from geoseg.loader import IGNORE, Scene
from geoseg.metrics import ConfusionMatrix
from geoseg.segmenter import Segmenter
from geoseg.train import Dataset, read_dataset
from geoseg.train.scoring import markdown_table, score_maps, scores

PIXELS = 200_000  # drawn evenly from the labelled training pixels: some minutes on two cores
TREES = 100
SEED = 0

Pixels = NDArray[np.float32]  # (pixel, band)
Labels = NDArray[np.uint8]  # (pixel,)


def pixels_of(scene: Scene) -> tuple[Pixels, Labels]:
    """The labelled pixels of a scene."""
    box = slice(0, scene.shape[0]), slice(0, scene.shape[1])
    labels = scene.read_labels(box).ravel()
    values = scene.read(box).reshape(len(scene.image), -1).T.astype(np.float32)
    return values[labels != IGNORE], labels[labels != IGNORE]


def training_pixels(scenes: Sequence[Scene]) -> tuple[Pixels, Labels]:
    values, labels = zip(*map(pixels_of, scenes), strict=True)
    every = np.concatenate(labels)
    chosen = np.random.default_rng(SEED).permutation(every.size)[:PIXELS]
    return np.concatenate(values)[chosen], every[chosen]


def forests(values: Pixels, labels: Labels) -> Iterator[tuple[str, RandomForestClassifier]]:
    """The forest as it comes, and one that lifts rare classes."""
    for name, weights in (("forest", None), ("forest, balanced", "balanced_subsample")):
        forest = RandomForestClassifier(
            TREES, min_samples_leaf=5, class_weight=weights, n_jobs=2, random_state=SEED
        )
        yield name, forest.fit(values, labels)


def score_baselines(data: Dataset) -> dict[str, dict[str, Any]]:
    values, labels = training_pixels(data.training)
    majority = np.bincount(labels).argmax()
    matrices = {"majority class": ConfusionMatrix(len(data.classes))}
    held_out = [pixels_of(scene) for scene in data.held_out]
    for _, truth in held_out:
        matrices["majority class"].update(truth, np.full_like(truth, majority))
    for name, forest in forests(values, labels):
        matrices[name] = ConfusionMatrix(len(data.classes))
        for seen, truth in held_out:
            matrices[name].update(truth, forest.predict(seen))
    return {name: scores(matrix, data.classes) for name, matrix in matrices.items()}


def with_baselines(model: Segmenter, found: dict[str, dict[str, Any]]) -> Segmenter:
    metrics = {**model.card.metrics, "baselines": found}
    return Segmenter.from_card(model.net, replace(model.card, metrics=metrics))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--root", help="folder of images and labels")
    parser.add_argument("--model", help="a model file to score beside them")
    parser.add_argument("--write", action="store_true", help="add the scores to the model's card")
    chosen = parser.parse_args()
    data = read_dataset(chosen.data, chosen.root)
    begun = time.monotonic()
    found = score_baselines(data)
    print(f"baselines: {time.monotonic() - begun:.0f} s, {PIXELS} training pixels, {TREES} trees")
    columns = dict(found)
    if chosen.model:
        model = geoseg.load(chosen.model)
        columns["model"] = scores(score_maps(model, data.held_out), data.classes)
        if chosen.write:
            with_baselines(model, found).save(chosen.model)
    print(f"{columns['majority class']['pixels']} held-out pixels")
    print(markdown_table(columns))


if __name__ == "__main__":
    main()
