"""Fit a support vector machine to single pixels: the baseline that ignores the surroundings.

E. Maggiori et al. (IGARSS 2016) draw 1000 random training pixels of each class and take a Gaussian
kernel. Of its parameters they tell nothing. `fit_pixels` does the same with a data set; in parts it
is::

    pixels, labels = draw_pixels(data.training, classes=2, per_class=1000, rng=default_rng(0))
    net = fit_svm(pixels / 255, labels)
    model = Segmenter(
        net,
        mean=(0, 0, 0),
        std=(255, 255, 255),
        architecture="svm",
        options={"in_channels": 3, "classes": 2, **facts_of(net)},
        ...
    )
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from geoseg.errors import UserError
from geoseg.loader import IGNORE, Scene, is_missing
from geoseg.nets.scores import count_maps
from geoseg.nets.svm import RBFSVM
from geoseg.progress import Emit
from geoseg.segmenter import Segmenter
from geoseg.train.data.dataset import Dataset, measure
from geoseg.train.data.reservoir import Reservoir
from geoseg.train.prepare import as_model, normalisation
from geoseg.train.settings import Settings
from geoseg.windows import tiles

__all__ = ["draw_pixels", "facts_of", "fit_pixels", "fit_svm"]

SIDE = 1024  # pixels read at a time


def fit_pixels(settings: Settings, data: Dataset, on_progress: Emit) -> Segmenter:
    """Fit a machine to pixels of a data set, as `geoseg.train.fit` does.

    Parameters
    ----------
    settings : Settings
        Of the network "svm". Of every class `batch` pixels are drawn, once, and normalised by
        `mean` and `std`; `gamma` among its `options` is that of the kernel. What is about descents
        along gradients has no meaning.
    data : Dataset
    on_progress : callable
        Called with a dict at the start and once the machine is fitted.

    Returns
    -------
    Segmenter
        Without scores.

    Raises
    ------
    UserError
        When scikit-learn is missing or a class has no training pixel.
    """
    if "vectors" in settings.options:
        raise UserError(
            f"vectors={settings.options['vectors']}: how many pixels support a machine follows "
            "from them; leave it out"
        )
    event = {"total": 1, "unit": "machine"}
    on_progress({"event": "start", **event})
    statistics, rng = measure(data), np.random.default_rng(settings.seed)
    pixels, labels = draw_pixels(data.training, len(data.classes), settings.batch, rng)
    mean, std = (np.array(each) for each in normalisation(settings, statistics))
    net = fit_svm((pixels - mean) / std, labels, gamma=settings.options.get("gamma"))
    on_progress({"event": "progress", "done": 1, **event})
    options = {"in_channels": len(data.bands), "classes": len(data.classes), **facts_of(net)}
    return as_model(settings, data, statistics, net, options)


def fit_svm(
    pixels: NDArray[Any], labels: NDArray[Any], penalty: float = 1.0, gamma: float | None = None
) -> RBFSVM:
    """Fit a machine to pixels.

    Parameters
    ----------
    pixels : ndarray, shape (N, C)
        As the network will see them: scaled, finite.
    labels : ndarray of int, shape (N,)
        Class indices 0..K-1; each class occurs.
    penalty : float
        C of Cortes and Vapnik (1995, eq. 21): what a pixel on the wrong side costs.
    gamma : float, optional
        Of the kernel ``exp(-gamma * |x - v|^2)``; by default ``1 / (C Var)``, with the variance of
        all values and C bands.

    Returns
    -------
    RBFSVM
        One machine for two classes, else one for each class against the rest.

    Raises
    ------
    UserError
        When scikit-learn is missing or there is nothing to fit to.
    """
    classes = _refuse_unfit(pixels, labels)
    if gamma is None:
        gamma = 1 / (pixels.shape[1] * _variance(pixels))
    for name, value in (("penalty", penalty), ("gamma", gamma)):
        if not 0 < value < float("inf"):
            raise UserError(f"{name}={value}: give a number above 0")
    positive = [1] if classes == 2 else range(classes)
    values = np.asarray(pixels, np.float64)
    fitted = [_fitted(values, labels == each, penalty, gamma) for each in positive]
    used = np.unique(np.concatenate([machine.support_ for machine in fitted]))
    coefficients = np.zeros((len(used), count_maps(classes)))
    for column, machine in enumerate(fitted):
        rows = np.searchsorted(used, machine.support_)
        coefficients[rows, column] = machine.dual_coef_[0]
    net = RBFSVM(pixels.shape[1], classes, vectors=len(used), gamma=float(gamma))
    with torch.no_grad():
        net.vectors.copy_(torch.from_numpy(values[used]))
        net.coefficients.copy_(torch.from_numpy(coefficients))
        net.intercepts.copy_(torch.tensor([float(each.intercept_[0]) for each in fitted]))
    return net


def facts_of(net: RBFSVM) -> dict[str, Any]:
    """Options that a fitted machine has beside bands and classes, for its model file."""
    return {"vectors": len(net.vectors), "gamma": net.gamma}


def draw_pixels(
    scenes: Sequence[Scene], classes: int, per_class: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw pixels of each class, without replacement, each as likely as any other of its class.

    Parameters
    ----------
    scenes : sequence of Scene
        With labels.
    classes : int
        K.
    per_class : int
        Pixels of a class; all of them where there are not so many.
    rng : Generator
        The same state draws the same pixels.

    Returns
    -------
    pixels : ndarray of float32, shape (N, C)
        As the scenes have them, complete in all bands; class by class.
    labels : ndarray of int64, shape (N,)

    Raises
    ------
    UserError
        When a class has no pixel or a scene no labels.
    """
    if per_class < 1:
        raise UserError(f"per_class={per_class}: give a whole number of 1 or more")
    drawn = [Reservoir(per_class) for _ in range(classes)]
    for scene in scenes:
        for box in tiles(scene.shape, (SIDE, SIDE)):
            part = scene.part(box)
            pixels, labels = part.read(box), part.read_labels(box)
            labels = np.where(is_missing(pixels, part.nodata).any(0), IGNORE, labels)
            for index, each in enumerate(drawn):
                each.add(pixels[:, labels == index].T.astype(np.float32), rng)
    empty = [index for index, each in enumerate(drawn) if not each.seen]
    if empty:
        raise UserError(f"class {empty[0]} has no training pixel; leave it out or add scenes")
    counts = [len(each.kept) for each in drawn]
    return np.concatenate([each.kept for each in drawn]), np.repeat(np.arange(classes), counts)


def _refuse_unfit(pixels: NDArray[Any], labels: NDArray[Any]) -> int:
    """The number of classes."""
    if pixels.ndim != 2 or labels.shape != pixels.shape[:1]:
        raise UserError(
            f"pixels of {pixels.shape} and labels of {labels.shape} do not fit; give (N, C), (N,)"
        )
    if not np.isfinite(pixels).all():
        raise UserError("some pixels are not finite; leave out what has no data")
    present = np.unique(labels).tolist()
    if len(present) < 2 or present != list(range(len(present))):
        raise UserError(
            f"there are pixels of the classes {present}; a machine tells two or more apart, "
            "numbered from 0 without gaps"
        )
    return len(present)


def _variance(pixels: NDArray[Any]) -> float:
    variance = float(np.var(pixels, dtype=np.float64))
    if not variance > 0 or not isfinite(variance):
        raise UserError(f"pixels of variance {variance} cannot be told apart; look at the bands")
    return variance


def _fitted(
    pixels: NDArray[np.float64], positive: NDArray[np.bool_], penalty: float, gamma: float
) -> Any:
    try:
        from sklearn.svm import SVC
    except ImportError as error:
        raise UserError(
            "fitting a support vector machine needs scikit-learn, which is not installed; "
            "pip install 'geoseg[train]'"
        ) from error
    return SVC(C=penalty, kernel="rbf", gamma=gamma).fit(pixels, positive)
