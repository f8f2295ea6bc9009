"""Class maps from classifiers of images: class activation maps on Landsat 8 with the CDL.

Y. Chen, Y. Guo and S. Wang, Deep Learning for Semantic Segmentation of Remote Sensing Imagery
(poster, Stanford). Classifiers learn which of five classes are in windows of 50 x 50 pixels; a map
of each class is read from the last features. Epochs and windows are the poster's; Adam, its rate of
1e-3 and batches of 64 are chosen here, as is that windows may lie anywhere, which on average is a
grid of them an epoch. A class is in a window if a single pixel has it.

In few windows of fields and woods a class is then absent, and little is left to learn where it is.
In the preset "recommended" a class needs a twentieth of the window, the network ends after its
second stage, which sees 35 pixels and not 139, and maps are rectified, divided by their maximum and
ruled out where the classifier says absent (``normalise=max``, ``gate=true``). Where nearly all
windows have nearly all classes, such maps were better in mosaics that were made up; on tiles of
North Dakota, one seed and 120 steps, 0.64 of the pixels were right with them and 0.68 without. The
same classifier gives either, and `geoseg.train.weak.compare_maps` tells on validation scenes which
to take.

A variant names the network, and the method by which maps are read from the ResNet::

    geoseg train cam-landsat --data DIR --out cam.safetensors --set variant=resnet50+layercam
    geoseg model maps cam.safetensors other.safetensors --set normalise=none --set gate=false

"ucam" is the U-Net of S. Wang et al., Weakly Supervised Deep Learning for Segmentation of Remote
Sensing Imagery (Remote Sensing 12(2), 2020), whose map of full resolution is pooled by the loss;
the preset "points" is the same U-Net under the other supervision of that paper, where of every
window of 50 x 50 pixels a single one has a label.
How maps of all methods compare, and how the best ones become labels of pixels that a segmenter
learns from, is in `geoseg.train.weak`.
"""

from __future__ import annotations

from pathlib import Path

from geoseg.recipes.recipe import Published, Recipe
from geoseg.train import Augmentation, Dataset, Settings
from geoseg.train.data.readers.landsat import landsat_cdl
from geoseg.train.weak import point_dataset

__all__ = ["RECIPE"]

WINDOWS = 155_200  # four fifths of the poster's 194,000: an epoch
BATCH = 64
SHARE = 0.05  # of a window: less of a class leaves hardly a trace in the mean of a map

STEPS = {epochs: epochs * WINDOWS // BATCH for epochs in (16, 50)}


def read(root: Path, *, points: int = 0) -> Dataset:
    """Landsat 8 with the CDL; with one labelled pixel in each window of so many a side, if any."""
    data = landsat_cdl(root)
    return point_dataset(data, points) if points else data


RECIPE = Recipe(
    name="cam-landsat",
    about="Class activation maps of classifiers, Landsat 8 with the CDL (Chen, Guo and Wang).",
    settings=Settings(
        net="cam",
        loss="multi_label",
        crop=50,
        batch=BATCH,
        steps=STEPS[50],
        lr=1e-3,
        optimiser="adam",
        weight_decay=0.0,
        clip=0.0,
        schedule="constant",
        class_power=0.0,
        augment=Augmentation(symmetries="none"),
        rehearse=100,
        validate_every=WINDOWS // BATCH,
        save_every=500,
    ),
    read=read,
    laid_out=landsat_cdl,
    reading={"points": {"points": 50}},
    variants=(
        {
            "resnet50": {},
            "baseline": {"net": "cam_baseline", "steps": STEPS[16]},
            "ucam": {"net": "unet", "crop": 64},  # which its five halvings divide
        },
        {
            "cam": {},
            "gradcam": {"method": "gradcam"},
            "gradcampp": {"method": "gradcam++"},  # "+" joins variants
            "layercam": {"method": "layercam"},
            "fused": {"method": "layercam-fused"},
        },
    ),
    presets={
        "paper": {},
        "points": {"net": "unet", "crop": 64, "loss": "cross_entropy"},
        "recommended": {
            "loss": {"multi_label": {"min_fraction": SHARE}},
            "symmetries": "all",
            "schedule": "cosine",
        },
        "quick": {
            "loss": {"multi_label": {"min_fraction": SHARE}},
            "crop": 32,
            "batch": 8,
            "steps": 150,
            "symmetries": "all",
            "rehearse": 0,
            "validate_every": 1000,
        },
    },
    small={"cam": {"num_stages": 2}, "unet": {"widths": [8, 16, 32]}},
    better={"cam": {"num_stages": 2, "normalise": "max", "gate": True}},
    published=Published(
        source="of a sample of windows that the poster does not describe; guessing one of five "
        "classes for each pixel would be right in 0.20",
        columns=("right decisions about images", "pixel accuracy of the argmax of maps"),
        rows={"baseline": (0.8912, None), "ResNet-50": (0.8862, 0.18)},
    ),
)
