r"""Dense Fusion Classmate Network for the land cover of DeepGlobe, with roads as the second task.

C. Tian, C. Li and J. Shi, Dense Fusion Classmate Network for Land Cover Classification (CVPR
Workshops 2018). Three variants: the network itself, the same without fusion ("classmate"), and the
baseline of one task, which the others start from::

    geoseg train dfcnet --data LAND --out baseline.safetensors --set variant=baseline
    geoseg train dfcnet --data LAND --out dfcnet.safetensors --set classmate=ROADS \
      --set start=baseline.safetensors

LAND and ROADS are folders as DeepGlobe publishes them, or YAML files that describe others. A step
shows as many windows of each. From the paper are the optimiser and its numbers, the crop (the
largest of 513 to 1025), the ranges of sizes, the batches of 32 and 16, the 80 000 steps and the 600
images of 803, and 5000 of 6226, to learn from. What it leaves open is chosen here: the power of the
learning rate's decay (0.9), as many steps for the networks of two tasks, 8 + 8 windows and equal
weights of both tasks, mirrored windows, measured mean and deviation, "unknown" ignored; one size a
batch and data set instead of one a window. These and what else is open are options::

    power=0.9              the decay of the learning rate, (1 - step / steps) ** power
    classmate_batch=0      windows of ROADS a step, 0 for as many as of LAND (batch=8)
    classmate_weight=1.0   weight of the loss of roads, that of land cover being 1
    slice_at=trunk_end     where the tasks part: behind the last layer that they can share, or
                           "block5", the deepest one by the letter, with a decoder for each
    loss_at=label          the loss is taken of scores enlarged to the labels, or of "logit", scores
                           as coarse as they are made, with the nearest labels
    fusion=tree            pairs of blocks, then pairs of pairs; or "cascade", one after the other
    post_merge=conv        a convolution after each sum; or "none"
    dec_layers=[24,12,6,4] layers of blocks 6 to 9; three numbers for the baseline
    dropout=0.0            share of the new features of every layer that is dropped
    symmetries=flips       or "none"
    unknown=ignore         or "class": a seventh class, learnt and not scored
    start=                 a trained baseline for the others, as above; the baseline starts afresh,
                           as the paper says, or with start=FILE from DenseNet-121's weights of
                           torchvision, saved as .safetensors (then also
                           mean=[123.675,116.28,103.53] and std=[58.395,57.12,57.375])

A copy of the network first learns one batch by heart in 100 steps (``rehearse``), and a warning
tells if it cannot. The batch was spread over eight GPUs; on fewer,
``--set accumulate=8`` learns it in parts, and ``--set precision=bf16`` and smaller crops need less
memory.

Scores are averaged over windows of the crop's size that overlap by a third::

    geoseg predict IMAGE MAP --model dfcnet.safetensors --window 1025 --blend mean --stride 683

Without these options windows are as large, overlap by half and count less towards their borders.
The paper's last row averages several scales, which it does not name, and several models::

    geoseg predict IMAGE MAP -m a.safetensors -m b.safetensors --scales 0.75,1,1.25 --views flips

The preset "recommended" turns windows by quarters as well, for images from above have no upright,
scales steep gradients down, and takes crops of 513, which fit into the memory of one GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from geoseg.recipes.recipe import Published, Recipe
from geoseg.train import Augmentation, Dataset, Settings
from geoseg.train.data.readers import deepglobe_land, deepglobe_roads

__all__ = ["RECIPE"]

LAND_SHARE = 600 / 803
ROAD_SHARE = 5000 / 6226
LITTLE = {"enc_layers": [2, 2, 2, 2], "growth": 8}


def _land(
    root: Path, *, unknown: Literal["class", "ignore"] = "ignore", train: float = LAND_SHARE
) -> Dataset:
    return deepglobe_land(root, unknown=unknown, train=train)


def _roads(root: Path) -> Dataset:
    return deepglobe_roads(root, train=ROAD_SHARE)


RECIPE = Recipe(
    name="dfcnet",
    about="Dense fusion classmate network, DeepGlobe land cover (Tian et al., CVPRW 2018).",
    settings=Settings(
        net="dfcnet",
        crop=1025,
        batch=8,  # of each task
        steps=80_000,
        sampler="scene",
        lr=1e-3,
        optimiser="sgd",
        momentum=0.9,
        weight_decay=5e-4,
        clip=0.0,
        schedule="poly",
        class_power=0.0,
        augment=Augmentation(symmetries="flips", scale=(0.8, 1.25)),
        classmate_scale=(0.5, 1.5),
        checkpointing=True,
        rehearse=100,
        validate_every=1000,
        save_every=500,
    ),
    read=_land,
    laid_out=deepglobe_land,
    read_classmate=_roads,
    variants=(
        {
            "dfcnet": {},
            "classmate": {"net": "classmatenet"},
            "baseline": {"net": "fcdensenet", "batch": 32},
        },
    ),
    presets={
        "paper": {},
        "recommended": {"crop": 513, "symmetries": "all", "clip": 1.0},
        "quick": {
            "crop": 33,
            "batch": 4,
            "steps": 60,
            "lr": 5e-2,
            "clip": 1.0,
            "checkpointing": False,
            "rehearse": 0,
            "validate_every": 30,
        },
    },
    small={
        "fcdensenet": {**LITTLE, "dec_layers": [2, 2, 2]},
        "classmatenet": {**LITTLE, "dec_layers": [2, 2, 2, 2], "width": 16},
        "dfcnet": {**LITTLE, "dec_layers": [2, 2, 2, 2], "width": 16},
    },
    published=Published(
        source="mIoU of the six classes on the challenge's validation and test images, "
        "whose masks are not published",
        columns=("validation", "test"),
        rows={
            "baseline": (43.57, None),
            "classmate": (51.87, None),
            "dfcnet": (52.24, 54.13),
            "dfcnet, several scales and models": (None, 55.59),
        },
        per_cent=True,
    ),
)
