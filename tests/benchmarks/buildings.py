"""Models of buildings side by side: how good, how visible their seams, how fast, and a picture.

    python tests/benchmarks/buildings.py OUT NAME=MODEL ... --data DIR [--only SET ...]

Models are files, or names, of any models of red, green and blue with two classes, the second of
which is building. A network for patches is measured twice: over the whole image at once, and patch
by patch, as E. Maggiori et al. (IGARSS 2016) ran it. OUT gets a picture of each set, as their
figure 4, and the description of the Massachusetts tile, whose western part is there to learn from
(also when no model is named yet)::

    geoseg train fcn-buildings --data OUT/massachusetts.yaml --out OUT/fcn.safetensors

Area under the ROC curve, accuracy, IoU and F1 are over all pixels of a set; "none" is the accuracy
of a map without a building. "Seams" compares how much probabilities change across every 16th line
with how much they do elsewhere: 1 for none. Networks are timed alone, on images in memory, and as
users run them, with files read and maps made.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

import geoseg
from geoseg.devices import find_devices
from geoseg.loader import IGNORE, Scene
from geoseg.metrics import BinnedRoc, ConfusionMatrix, Discontinuity
from geoseg.raster import grid_of
from geoseg.raster.grid import pixel_size
from geoseg.segmenter import Segmenter
from geoseg.train import read_dataset
from geoseg.train.data.decode import Codes
from geoseg.train.data.readers.files import LabelFiles, by_stem, paired
from geoseg.windows import Windows

PATCH = 16  # rows and columns that the network for patches classifies at a time
REPEATS = 3  # after a first time that does not count
FRAMES = (256, 256), (128, 128)  # size and steps of what a picture shows a part of
ONE_BY_ONE = ", one by one"
EAST = 0.65  # share of the tile's width from which on it is scored


class Patchwise(nn.Module):
    """A network for patches, run patch by patch."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        return self.net.patchwise(image)


@dataclass
class Found:
    """What a model says of a set."""

    matrix: ConfusionMatrix = field(default_factory=lambda: ConfusionMatrix(2))
    roc: BinnedRoc = field(default_factory=BinnedRoc)
    seams: Discontinuity = field(default_factory=lambda: Discontinuity(PATCH))
    maps: list[NDArray[np.float32]] = field(default_factory=list)
    alone: float = 0.0  # seconds
    at_work: float = 0.0


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("models", nargs="*", metavar="NAME=MODEL")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    options.out.mkdir(exist_ok=True)
    models = {
        name: model
        for stated in options.models
        for name, model in variants_of(*stated.split("=", 1)).items()
    }
    for name in options.only:
        scenes = SETS[name](options.data, options.out)
        if not models:
            continue  # what there is to learn from is described now
        found = {each: measure(m, scenes, options.device) for each, m in models.items()}
        print(f"\n{name}: {len(scenes)} images\n\n{table(found, scenes)}", flush=True)
        draw(scenes, found, options.out / f"{name}.png")


def variants_of(name: str, path: str) -> dict[str, Segmenter]:
    """A model, in the ways that it can be run."""
    model = geoseg.load(path)
    if not hasattr(model.net, "patchwise"):
        return {name: model}
    one_by_one = Segmenter.from_card(Patchwise(model.net), model.card)
    return {name: model, f"{name}{ONE_BY_ONE}": one_by_one}


# -- data ------------------------------------------------------------------------------------------


def hot_buildings(data: Path, out: Path) -> Sequence[Scene]:
    """Drone images of a settlement, of 7 to 30 cm."""
    folder = data / "hot_buildings" / "val"
    pairs = paired(by_stem(folder / "images"), by_stem(folder / "masks", ".mask"), folder)
    return LabelFiles(Codes(((0,), (1,)))).scenes(pairs)


def massachusetts(data: Path, out: Path) -> Sequence[Scene]:
    """The east of a tile of Massachusetts Buildings, of 1 m."""
    folder = (data / "massachusetts" / "buildings").resolve()
    with rasterio.open(next(folder.glob("*.tif"))) as image:
        west, _, east, _ = image.bounds
    described = out / "massachusetts.yaml"
    described.write_text(
        f"name: massachusetts-tile\n"
        f"root: {folder}\n"
        f"gsd: 1\n"
        f'images: "*.tif"\n'
        f'labels: "*.gpkg"\n'
        f"bands: {{red: 1, green: 2, blue: 3}}\n"
        f"classes: [{{name: background, polygons: none}}, {{name: building, polygons: all}}]\n"
        f"split: {{by: x, held_out: [{west + EAST * (east - west):.0f}, {east:.0f}], margin: 40}}\n"
    )
    return read_dataset(described).held_out


SETS: dict[str, Callable[[Path, Path], Sequence[Scene]]] = {
    "hot_buildings": hot_buildings,
    "massachusetts": massachusetts,
}


# -- measuring -------------------------------------------------------------------------------------


def measure(model: Segmenter, scenes: Sequence[Scene], device: str) -> Found:
    """Score whole images, and time them."""
    there, found = model.on(find_devices(device)[0]), Found()
    for scene in scenes:
        truth = truth_of(scene)
        pixels = torch.from_numpy(np.asarray(scene.image.values))[None]
        seconds, logits = timed(lambda pixels=pixels: there.logits(pixels, None).cpu())
        buildings = logits.softmax(1)[0, 1].numpy()
        found.alone += seconds
        found.matrix.update(truth, buildings > 0.5)
        found.roc.update(buildings, truth)
        found.seams.update(buildings)
        found.maps.append(buildings)
        image = scene.image.assign_attrs(long_name=model.card.bands)
        work = partial(geoseg.predict, image, model, gsd="native", device=device)
        found.at_work += timed(lambda work=work: work().values)[0]
    return found


def truth_of(scene: Scene) -> NDArray[np.uint8]:
    return scene.read_labels((slice(0, scene.shape[0]), slice(0, scene.shape[1])))


def timed(run: Callable[[], NDArray[np.uint8] | Tensor]) -> tuple[float, Tensor]:
    """The median of the seconds that something takes once it is warm, and what it gives."""
    result, seconds = run(), []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds), torch.as_tensor(result)


def area(scenes: Sequence[Scene]) -> float:
    """Square kilometres."""
    sizes = [(scene.shape, pixel_size(grid_of(scene.image)) or (1, 1)) for scene in scenes]
    return sum(h * w * down * across for (h, w), (down, across) in sizes) / 1e6


def table(found: dict[str, Found], scenes: Sequence[Scene]) -> str:
    """The models as rows."""
    pixels, ground = sum(np.prod(scene.shape) for scene in scenes), area(scenes)
    lines = [
        "| model | AUC | accuracy | none | IoU | F1 | seams | Mpx/s alone | Mpx/s | s/km² |",
        "|---|" + "---:|" * 9,
    ]
    for name, each in found.items():
        background = each.matrix.support()[0] / each.matrix.support().sum()
        scores = (each.roc.auc(), each.matrix.accuracy(), background)
        of_building = each.matrix.iou()[1], each.matrix.f1()[1], each.seams.index()
        cells = [f"{value:.4f}" for value in scores] + [f"{value:.3f}" for value in of_building]
        cells += [f"{pixels / 1e6 / seconds:.2f}" for seconds in (each.alone, each.at_work)]
        lines.append(f"| {name} | {' | '.join(cells)} | {each.alone / ground:.2f} |")
    return "\n".join(lines)


# -- picture ---------------------------------------------------------------------------------------


def draw(scenes: Sequence[Scene], found: dict[str, Found], path: Path) -> None:
    """Image, truth and each model's probability of building, where half the ground is built on."""
    places = [(n, box) for n, scene in enumerate(scenes) for box in Windows(scene.shape, *FRAMES)]
    truths = [truth_of(scene) for scene in scenes]
    chosen, box = min(places, key=lambda each: abs((truths[each[0]][each[1]] == 1).mean() - 0.5))
    image = np.moveaxis(np.asarray(scenes[chosen].image.values[:3]), 0, -1)
    truth = np.where(truths[chosen] == IGNORE, np.nan, truths[chosen])
    maps = {name: each.maps[chosen] for name, each in found.items() if ONE_BY_ONE not in name}
    panels = {"image": image, "truth": truth, **maps}
    figure = Figure(figsize=(3 * len(panels), 3.3), dpi=120)
    for place, (title, panel) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(1, len(panels), place)
        axes.imshow(panel[box], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(title)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
