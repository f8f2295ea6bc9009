"""Buildings of Massachusetts: fully convolutional, patch by patch, or pixel by pixel.

E. Maggiori, Y. Tarabalka, G. Charpiat and P. Alliez, Fully Convolutional Neural Networks for Remote
Sensing Image Classification (IGARSS 2016): their network, that for patches which it grew out of
(V. Mnih, thesis, University of Toronto 2013), and a support vector machine that sees single
pixels::

    geoseg train fcn-buildings --data MASSACHUSETTS --out fcn.safetensors
    geoseg train fcn-buildings --data MASSACHUSETTS --out patch.safetensors --set variant=patch
    geoseg train fcn-buildings --data MASSACHUSETTS --out svm.safetensors --set variant=svm

From the paper are the optimiser and its numbers, the steps, the windows and what is left of them
(16 x 16 pixels of 80 x 80, and of 64 x 64), and the 1000 pixels a class of the machine, which are
its "batch". The learning rate is for a loss that is summed over the pixels of a window, as Caffe
did at that time. What the paper leaves open is chosen here: a constant learning rate, pixels as
shares of white less their training mean, windows as they are, neither turned nor mirrored; for the
machine a penalty of 1 and ``gamma = 1 / (3 Var)``. With ``variant=svm-searched`` cross-validation
in five parts chooses among 16 pairs of both; ``--set penalty=... --set gamma=...`` states them,
as a number or a list each.

The preset "recommended" turns and mirrors windows, as Mnih did, and lets the learning rate fall to
0, with which the last steps make no more noise.
"""

from __future__ import annotations

from geoseg.recipes.recipe import Published, Recipe
from geoseg.train import Augmentation, Settings
from geoseg.train.data.readers import massachusetts_buildings

__all__ = ["RECIPE"]

MACHINE = {"net": "svm", "crop": 1, "batch": 1000, "steps": 1, "mean": [0.0]}

RECIPE = Recipe(
    name="fcn-buildings",
    about="Fully convolutional network, Massachusetts Buildings (Maggiori et al., IGARSS 2016).",
    settings=Settings(
        net="maggiori_fcn",
        loss="sigmoid_cross_entropy",
        crop=80,
        batch=64,
        steps=30_000,
        sampler="scene",
        lr=1e-4,
        optimiser="sgd",
        momentum=0.9,
        weight_decay=2e-4,
        clip=0.0,
        schedule="constant",
        class_power=0.0,
        augment=Augmentation(symmetries="none"),
        std=(255.0,),
        rehearse=100,
        validate_every=1000,
        save_every=500,
    ),
    read=massachusetts_buildings,
    variants=(
        {
            "fcn": {},
            "patch": {"net": "patch_cnn", "crop": 64},
            "svm": MACHINE,
            "svm-searched": {
                **MACHINE,
                "penalty": [1, 10, 100, 1000],
                "gamma": [0.1, 1, 10, 100],
            },
        },
    ),
    presets={
        "paper": {},
        "recommended": {"symmetries": "all", "schedule": "poly"},
        "quick": {"batch": 8, "steps": 60, "rehearse": 0, "validate_every": 30},
    },
    small={"svm": {"batch": 200, "steps": 1}},
    published=Published(
        source="on the ten test images of Massachusetts Buildings, 22.5 km² together; seconds on a "
        "Quadro K3100M",
        columns=("accuracy", "area under the ROC curve", "seconds"),
        rows={
            "FCN": (None, 0.9922, 8.47),
            "patch": (None, 0.9899, 82.21),
            "SVM": (0.6229, 0.5193, None),
        },
    ),
)
