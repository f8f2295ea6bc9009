r"""U-Net with Lovász-Softmax loss for the seven classes of DeepGlobe.

A. Rakhlin, A. Davydow and S. Nikolenko, Land Cover Classification from Satellite Imagery With U-Net
and Lovász-Softmax Loss (CVPR Workshops 2018), section 3. Images of 0.5 m are halved to 1224 x 1224
pixels; such as are coarser already, as in re-cuts of the data set, are taken as they are.
"Unknown" is a class that is learnt, in the cross-entropy, and never scored. What the paper leaves
open is chosen here: the weight of the second loss (1/2), the shape of the decay (exponential), one
window an image and epoch, a fifth of the images held out.

Other readings are variants, or settings. The shortcuts of "resnet34" are 3 x 3 convolutions, those
of "resnet34-1x1" 1 x 1; "resnet34-torchvision" has the layers that torchvision has weights for.
``skip`` says whether skips are added or concatenated, ``shape`` how the first decay goes, and
``shrink`` how many pixels become one along rows and columns: 1, 2, 4 or 8, of which 2 was the best
in the paper. Variants whose names end in 0.15 weigh the second loss by that, as a script of the
first author does; ``loss`` states any other weights. With ``withhold_unscored=true`` no map shows
"unknown": its pixels have their second best class.

"jaccard" is the paper's equation 3, a sum over pixels, which is no index of regions;
"jaccard-region" is what its name stands for, over the classes that a batch has. Nothing else is
different between them. The preset "recommended" takes regions for either, shows no window for the
sake of "unknown", which is rare and not scored, and scales steep gradients down; where no loss is
named it is Lovász-Softmax all the same.

The paper's maps are those of windows of 288 pixels at every 57th, averaged, with regions of less
than 3500 pixels of the full resolution, 875 square metres, given to their neighbours, and for its
last rows of five models. The images of DeepGlobe do not say how large their pixels are, so the
command does; they are halved for the network, and the mean scores are brought back to the full
resolution before the class is decided::

    geoseg predict scene.jpg map.tif -m a.safetensors -m b.safetensors --pixel-size 0.5 \
        --window 288 --blend mean --stride 57 --min-area 875

Scores in the model's card are of single models, on images as they were learnt from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from geoseg.errors import UserError
from geoseg.recipes.recipe import Published, Recipe
from geoseg.train import Augmentation, Dataset, Settings
from geoseg.train.data.readers import deepglobe_land
from geoseg.train.data.readers.coarse import coarser

__all__ = ["RECIPE"]

UNKNOWN = "data"  # the class that the data set says is not scored
PUBLISHED_GSD = 0.5  # metres
SCALES = (1, 2, 4, 8)
IMAGES = 642  # of 803, without the fifth that is held out: one window of each is an epoch
BATCH = 8
STEPS = IMAGES // BATCH  # of an epoch; what is left over is not shown
EPOCHS = 160


def _losses(weight: float) -> dict[str, dict[str, Any]]:
    """Equation 2 with each second loss, of a weight; "unknown" counts in the first one only."""
    second = {"weight": weight, "unscored": UNKNOWN}
    return {
        "lovasz": {"cross_entropy": 1 - weight, "lovasz": second},
        "jaccard": {"cross_entropy": 1 - weight, "jaccard_pixel": second},
        "jaccard-region": {
            "cross_entropy": 1 - weight,
            "jaccard_region": {**second, "only_present": True},
        },
    }


LOSSES = _losses(0.5) | {f"{name}-0.15": each for name, each in _losses(0.15).items()}


def _shrunk(root: Path, shrink: int = 2) -> Dataset:
    """The data set as its images are learnt from.

    Parameters
    ----------
    root : Path
    shrink : int
        How many pixels of 0.5 m become one, along rows and along columns. Images that are coarser
        are brought as near to that as whole numbers allow; where the size of pixels is not known
        they are taken for 0.5 m, and the model is of no pixel size.

    Raises
    ------
    UserError
        When it is none of those that the paper compares.
    """
    if shrink not in SCALES or isinstance(shrink, bool):
        raise UserError(f"shrink={shrink}: give 1, 2, 4 or 8, pixels of 0.5 m that become one")
    data = deepglobe_land(root)
    by = round(shrink * PUBLISHED_GSD / (data.gsd or PUBLISHED_GSD))
    return coarser(data, by) if by > 1 else data


RECIPE = Recipe(
    name="unet-lovasz",
    about="U-Net with Lovász-Softmax loss, DeepGlobe land cover (Rakhlin et al., CVPRW 2018).",
    settings=Settings(
        net="unet",
        loss=LOSSES["lovasz"],
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
    read=_shrunk,
    laid_out=deepglobe_land,
    variants=(
        {
            "m46": {},
            "resnet34": {"net": "unet_resnet34"},
            "resnet34-1x1": {"net": "unet_resnet34", "variant": "paper_1x1"},
            "resnet34-torchvision": {"net": "unet_resnet34", "variant": "torchvision_elu"},
            "inception": {"net": "unet_inception_resnet_v2"},
        },
        {name: {"loss": each} for name, each in LOSSES.items()},
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
    recommended={
        "jaccard": {"loss": LOSSES["jaccard-region"]},
        "jaccard-0.15": {"loss": LOSSES["jaccard-region-0.15"]},
        "equibatch": {"sampler": "equibatch-scored"},
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
