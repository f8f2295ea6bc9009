"""Fusion of Sentinel-1 and Sentinel-2 in residual networks, for the land cover of SEN12MS.

D. Pooser and J. Li, Deep Fusion Networks for Land Cover Classification (technical report), tell
which of ten classes an image has. Networks, batch, epochs and the threshold of labels are the
report's. The optimiser, its rates and decays, and the statistics of the bands are those of the
public toolbox of SEN12MS that it uses (M. Schmitt and Y.-L. Wu, Remote Sensing Image Classification
with the SEN12MS Dataset, ISPRS Annals V-2-2021); the report's own differ "slightly" and are printed
for the middle and the late fusion only. The toolbox has no schedule and changes no image.

What is otherwise here:

- Labels of images are the classes of a tenth of its pixels or more, counted in the land cover map.
  The published ones are made of a table of shares; where rounding moves a share across 0.1, they
  differ. Both merge the 17 classes of the map to ten first, and both count 0.1 itself.
- The two networks of the late fusion learn from the same batch, in the report one epoch each in
  turn. No parameter is in both and Adam treats each by itself, so each learns as if alone.
- A tenth of the scenes validates. In the report it is a third of the patches, picked one by one,
  whose neighbours are learnt from: its validation scores are too good, and choose weights that know
  the places. The variant "patch-third" does the same, in any preset. The steps are those of the
  report's 100 epochs of its own patches; of nine tenths of the scenes they are 74 epochs.
- "single" has one class an image, that of most pixels, learnt by cross-entropy, as the toolbox can
  do it; "rgb" has its three colours alone.
- "dense" learns from pixels instead, with the pyramid of features that segments. Finer features of
  the last stage take ``--set output_stride=16``; ``--set average=probabilities`` has the late
  fusion average what softmax gives.
- "unit" brings pixels to 0..1 instead of standardising them, and clips reflectance there, as the
  dense baselines of the 2020 IEEE GRSS data fusion contest do.

As in the report the weights are kept whose micro-F1 of validation images is best, the mIoU in case
of "dense"; ``--set keep=last`` keeps the last ones, as the preset "quick" does, which need no scene
to validate with.

The preset "recommended" fills missing radar with -25 dB instead of 0, the brightest; turns and
flips images; and lowers the rate along half a cosine wave from the toolbox's 1e-3.
"""

from __future__ import annotations

from typing import Any

from geoseg.recipes.recipe import Published, Recipe
from geoseg.train import Augmentation, Settings
from geoseg.train.data.readers.sen12ms import RGB, S1, S2, STATISTICS, UNIT, sen12ms

__all__ = ["RECIPE"]

IMAGES = 108_912  # the training patches of the report, two thirds of those that are not held out
BATCH = 25
EPOCHS = 100
SHARE = 0.1  # of an image, that a class needs to be one of its labels

IMAGE_LABELS = {"multi_label": {"min_fraction": SHARE}}


def _normalised(*bands: str) -> dict[str, Any]:
    """What the pixels of bands are normalised by."""
    mean, std = zip(*(STATISTICS[band] for band in bands), strict=True)
    return {"mean": mean, "std": std}


def _unit(settings: Settings) -> dict[str, Any]:
    """What the pixels of the same bands are brought to 0..1 by."""
    bands = [band for band, (mean, _) in STATISTICS.items() if mean in settings.mean]
    mean, std = zip(*(UNIT[band] for band in bands), strict=True)
    return {"mean": mean, "std": std}


TOOLBOX = {"net": "early_fusion", "lr": 1e-3, "weight_decay": 1e-5}
TINY = {"blocks": [1, 1, 1, 1], "width": 8}

RECIPE = Recipe(
    name="deep-fusion",
    about="Radar and optical images fused early, in the middle or late, SEN12MS (Pooser and Li).",
    settings=Settings(
        net="middle_fusion",
        loss=IMAGE_LABELS,
        crop=256,  # the whole patch
        batch=BATCH,
        steps=EPOCHS * IMAGES // BATCH,
        sampler="scene",
        lr=4e-3,
        optimiser="adam",
        weight_decay=1e-6,
        clip=0.0,
        schedule="constant",
        class_power=0.0,
        augment=Augmentation(symmetries="none"),
        **_normalised(*S2, *S1),
        rehearse=100,
        validate_every=IMAGES // BATCH,
        save_every=500,
        keep="best",
    ),
    read=sen12ms,
    variants=(
        {
            "middle": {},
            "late": {"net": "late_fusion", "lr": 2e-3},
            "early": TOOLBOX,
            "s2": {**TOOLBOX, **_normalised(*S2)},
            "s1": {**TOOLBOX, **_normalised(*S1)},
            "rgb": {**TOOLBOX, **_normalised(*RGB)},
        },
        {
            "image": {},
            "single": {"loss": "single_label"},
            "dense": {"loss": "cross_entropy", "decoder": "fpn"},
        },
        {"by-scene": {}, "patch-third": {}},
        {"standardised": {}, "unit": _unit},
    ),
    presets={
        "paper": {},
        "recommended": {"lr": 1e-3, "schedule": "cosine", "symmetries": "all"},
        "quick": {
            "crop": 32,
            "batch": 16,
            "steps": 100,
            "lr": 5e-3,
            "schedule": "cosine",
            "symmetries": "all",
            "rehearse": 0,
            "validate_every": 1000,
            "keep": "last",
        },
    },
    small={"early_fusion": TINY, "middle_fusion": TINY, "late_fusion": TINY},
    reading={
        "s1": {"bands": "s1"},
        "s2": {"bands": "s2"},
        "rgb": {"bands": "rgb"},
        "patch-third": {"validation": "patch_third"},
        "unit": {"saturate": True},
        "recommended": {"nan_fill": -25.0},
    },
    published=Published(
        source="on the 18,106 images of the 26 test scenes. OA is the mean Jaccard index "
        "of an image's classes, AA the share of right decisions, the others those about one class. "
        "Late fusion paired the radar scores of images with the optical scores of whole batches: "
        "its row tells nothing about late fusion",
        columns=(
            "OA",
            "AA",
            "forest",
            "shrubland",
            "savanna",
            "grassland",
            "wetlands",
            "croplands",
            "urban",
            "snow",
            "barren",
            "water",
        ),
        rows={
            "S1": (50.92, 87.97, 85.72, 86.31, 68.54, 68.02, 96.77, 81.46, 96.28, 100, 98.09, 98.5),
            "S2": (64.26, 91.91, 89.64, 94.54, 83.43, 72.44, 97.17, 87.09, 96, 100, 99.51, 99.26),
            "early": (
                *(62.86, 90.90, 89.37, 92.10, 78.41, 71.25, 97.74, 84.54, 96.75, 100, 99.68, 99.19),
            ),
            "middle": (
                *(64.29, 91.30, 89.09, 86.86, 82.12, 76.36, 97.42, 86.98, 95.51, 100, 99.31, 99.35),
            ),
            "late": (49, 87.59, 84.94, 94.79, 75.89, 62.59, 97.14, 72.68, 92.18, 100, 99.84, 95.88),
        },
        per_cent=True,
    ),
)
