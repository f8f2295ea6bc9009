"""Each sensor alone, and both fused early, in the middle or late, on two small sets of two sensors.

    python tests/benchmarks/fusion.py FOLDER [--steps N]

FOLDER holds ``terramesh_s1_s2`` and ``chesapeake_multisource``, described in examples/. The first
one is learnt as the report does it, by which classes a window has, the second one by pixels. One
patch, or one part of a tile, is held out: the tables show that all ways work, not which is better.
A last line tells how far scores of late fusion depend on what else is in a batch, where they must
not: the published code joined scores of images to those of whole batches.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from geoseg.recipes import RECIPES
from geoseg.segmenter import Segmenter
from geoseg.train import Dataset, changed, fit, read_dataset

RECIPE = RECIPES["deep-fusion"]
EXAMPLES = Path(__file__).parents[2] / "examples"
MEASURED = {"mean": [], "std": []}  # of the training pixels

# By data set: bands of the second sensor, kind of labels, settings beside the variant's.
SETS: dict[str, tuple[int, str, dict[str, Any]]] = {
    "terramesh_s1_s2": (2, "image", {"crop": 64, "batch": 16}),
    "chesapeake_multisource": (18, "dense", {"crop": 64, "batch": 16, **MEASURED}),
}
VARIANTS = ("s1", "s2", "early", "middle", "late")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    for name, (second, kind, own) in SETS.items():
        print(f"\n{name}, {kind}\n", flush=True)
        with tempfile.TemporaryDirectory() as made:
            print_rows(name, second, kind, own, options, Path(made))


def print_rows(
    name: str,
    second: int,
    kind: str,
    own: dict[str, Any],
    options: argparse.Namespace,
    made: Path,
) -> None:
    """Train and score each variant."""
    late = None
    for variant in VARIANTS:
        data = read(name, variant, second, options.folder, made)
        settings = RECIPE.chosen(f"{variant}+{kind}", "recommended")
        settings = changed(settings, own | {"steps": options.steps, "keep": "last"})
        if variant in ("middle", "late"):
            settings = changed(settings, {"sensors": [len(data.bands) - second, second]})
        late = fit(settings, data, made / f"{variant}.safetensors")
        found = late.card.metrics["held_out"]
        of_images = found.get("of_images")
        row = (
            f"micro F1 {of_images['micro_f1']:.3f}, right {of_images['average_accuracy']:.3f}, "
            f"commonest {of_images['majority_accuracy']:.3f}"
            if of_images
            else f"mIoU {found['miou']:.3f}, pixels {found['overall_accuracy']:.3f}"
        )
        print(f"{variant}: {len(data.bands)} bands, {row}", flush=True)
    print(f"late, alone and in a batch: {batch_difference(late, data, settings.crop):.2g}")


def read(name: str, variant: str, second: int, folder: Path, made: Path) -> Dataset:
    """The data set with the bands of a variant."""
    stated = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    bands = list(stated["bands"].items())
    chosen = {"s1": bands[-second:], "s2": bands[:-second]}.get(variant, bands)
    described = made / f"{variant}.yaml"
    described.write_text(yaml.safe_dump({**stated, "bands": dict(chosen)}, sort_keys=False))
    return read_dataset(described, folder / name)


def batch_difference(model: Segmenter, data: Dataset, size: int) -> float:
    """The largest difference of scores of windows alone and together."""
    windows = torch.cat(
        [pixels_of(data, place, size) for place in ((0, 0), (size, 0), (2 * size, 0))]
    )
    together = model.logits(windows, None)
    alone = torch.cat([model.logits(each[None], None) for each in windows])
    return float((together - alone).abs().max() / together.abs().max())


def pixels_of(data: Dataset, place: Sequence[int], size: int) -> torch.Tensor:
    """A window of the held-out scene, shape (1, C, size, size)."""
    top, left = place
    image = data.held_out[0].image[:, top : top + size, left : left + size]
    return torch.from_numpy(image.values.astype("float32"))[None]


if __name__ == "__main__":
    main()
