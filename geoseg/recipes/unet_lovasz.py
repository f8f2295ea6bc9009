r"""U-Net with Lovász-Softmax loss for the seven classes of DeepGlobe.

A. Rakhlin, A. Davydow and S. Nikolenko, Land Cover Classification from Satellite Imagery With U-Net
and Lovász-Softmax Loss (CVPR Workshops 2018), section 3. Images of 0.5 m are halved to 1224 x 1224
pixels; such as are coarser already, as in re-cuts of the data set, are taken as they are.
"Unknown" is a class that is learnt, in the cross-entropy, and never scored. What the paper leaves
open is chosen here: the weight of the second loss (1/2), the shape of the decay (exponential), one
window an image and epoch, a fifth of the images held out.

The variant "jaccard-region" is the index that the paper's name of its loss stands for, while
"jaccard" is its equation 3: of regions instead of pixels, of the classes that are there, beside a
cross-entropy that leaves "unknown" out. The preset "recommended" scales steep gradients down.

The paper's maps are those of windows of 288 pixels at every 57th, averaged, with regions of less
than 875 square metres given to their neighbours, and for its last rows of five models::

    geoseg predict scene.tif map.tif -m a.safetensors -m b.safetensors \
        --window 288 --blend mean --stride 57 --min-area 875

Scores in the model's card are of single models, on images as they were learnt from.
"""

from __future__ import annotations

from pathlib import Path

from geoseg.recipes.recipe import Published, Recipe
from geoseg.train import Augmentation, Dataset, Settings
from geoseg.train.data.readers import deepglobe_land
from geoseg.train.data.readers.coarse import coarser

__all__ = ["RECIPE"]

UNKNOWN = "data"  # the class that the data set says is not scored
PUBLISHED_GSD = 0.5  # metres
IMAGES = 642  # of 803, without the fifth that is held out: one window of each is an epoch
BATCH = 8
STEPS = IMAGES // BATCH  # of an epoch; what is left over is not shown
EPOCHS = 160

LOVASZ = {"cross_entropy": 0.5, "lovasz": {"weight": 0.5, "unscored": UNKNOWN}}
JACCARD = {"cross_entropy": 0.5, "jaccard_pixel": {"weight": 0.5, "unscored": UNKNOWN}}
REGION = {
    "cross_entropy": {"weight": 0.5, "unscored": UNKNOWN},
    "jaccard_region": {"weight": 0.5, "unscored": UNKNOWN, "only_present": True},
}


def _halved(root: Path) -> Dataset:
    data = deepglobe_land(root)
    return coarser(data, 2) if data.gsd == PUBLISHED_GSD else data


RECIPE = Recipe(
    name="unet-lovasz",
    about="U-Net with Lovász-Softmax loss, DeepGlobe land cover (Rakhlin et al., CVPRW 2018).",
    settings=Settings(
        net="unet",
        loss=LOVASZ,
        crop=288,
        batch=BATCH,
        steps=EPOCHS * STEPS,
        sampler="equibatch",
        lr=1e-3,
        optimiser="adam",
        weight_decay=0.0,
        clip=0.0,
        schedule="decay_then_swa",
        class_power=0.0,
        mean=(127.5,),  # to -1..1
        std=(127.5,),
        augment=Augmentation(
            hue=10 / 180,  # OpenCV's units for 8 bits, in the first author's public code
            saturation=20 / 255,
            value=10 / 255,
            gamma=(0.8, 1.5),
            colour_chance=0.9,
        ),
        rehearse=100,
        validate_every=10 * STEPS,
    ),
    read=_halved,
    variants=(
        {
            "m46": {},
            "resnet34": {"net": "unet_resnet34"},
            "inception": {"net": "unet_inception_resnet_v2"},
        },
        {"lovasz": {}, "jaccard": {"loss": JACCARD}, "jaccard-region": {"loss": REGION}},
        {"equibatch": {}, "uniform": {"sampler": "scene"}},
    ),
    presets={
        "paper": {},
        "recommended": {"clip": 1.0},
        "quick": {
            "crop": 64,
            "batch": 4,
            "steps": 60,
            "lr": 3e-3,
            "cycles": 2,
            "min_pixels": 50,
            "rehearse": 0,
        },
    },
    small={
        "unet": {"widths": [8, 16, 32]},
        "unet_resnet34": {"widths": [8, 8, 16, 16], "blocks": [1, 1, 1, 1]},
        "unet_inception_resnet_v2": {"repeats": [1, 1, 1], "width": 0.25},
    },
    published=Published(
        source="mIoU of classes 1 to 6 on the authors' local split of 803 images, which is not "
        "published",
        columns=("Jaccard", "Lovász", "both"),
        rows={
            "m46": (0.624, 0.619, None),
            "ResNet-34": (0.615, 0.641, None),
            "Inception-ResNet-v2": (0.604, 0.573, None),
            "ensemble of five": (None, None, 0.648),
            "the same, small components removed": (None, None, 0.649),
            "classes equally often": (None, 0.640, None),
            "windows at random": (None, 0.538, None),
        },
    ),
)
