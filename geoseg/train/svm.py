"""Fit a support vector machine to single pixels: the baseline that ignores the surroundings.

E. Maggiori et al. (IGARSS 2016) draw 1000 random training pixels of each class and take a Gaussian
kernel. Of its parameters they tell nothing: a penalty of 1 and a width that follows from the pixels
are chosen here, and lists of either, of which cross-validation takes the best, are the other way::

    geoseg train fcn-buildings ... --set variant=svm --set penalty=10 --set gamma=[0.1,1,10,100]

`fit_pixels` does it with a data set; in parts it is::

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

import logging
from collections.abc import Mapping, Sequence
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

__all__ = ["chosen_by_folds", "draw_pixels", "facts_of", "fit_pixels", "fit_svm"]

log = logging.getLogger(__name__)

SIDE = 1024  # pixels read at a time
FOLDS = 5


def fit_pixels(settings: Settings, data: Dataset, on_progress: Emit) -> Segmenter:
    """Fit a machine to pixels of a data set, as `geoseg.train.fit` does.

    Parameters
    ----------
    settings : Settings
        Of the network "svm". Of every class `batch` pixels are drawn, once, and normalised by
        `mean` and `std`; `penalty` and `gamma` among its `options` are as for `fit_svm`, or lists
        of such numbers, see `chosen_by_folds`. What is about descents along gradients has no
        meaning.
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
        When scikit-learn is missing, a class has no training pixel, or an option cannot be meant.
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
    values, stated = (pixels - mean) / std, settings.options
    grid = {name: stated[name] for name in ("penalty", "gamma") if name in stated}
    if any(isinstance(each, list | tuple) for each in grid.values()):
        grid = chosen_by_folds(values, labels, grid, settings.seed)
    net = fit_svm(values, labels, **grid)
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
        gamma = _usual_gamma(pixels)
    penalty, gamma = _positive("penalty", penalty), _positive("gamma", gamma)
    positive = [1] if classes == 2 else range(classes)
    values = np.asarray(pixels, np.float64)
    fitted = [_fitted(values, labels == each, penalty, gamma) for each in positive]
    used = np.unique(np.concatenate([machine.support_ for machine in fitted]))
    coefficients = np.zeros((len(used), count_maps(classes)))
    for column, machine in enumerate(fitted):
        rows = np.searchsorted(used, machine.support_)
        coefficients[rows, column] = machine.dual_coef_[0]
    net = RBFSVM(pixels.shape[1], classes, len(used), gamma, penalty)
    with torch.no_grad():
        net.vectors.copy_(torch.from_numpy(values[used]))
        net.coefficients.copy_(torch.from_numpy(coefficients))
        net.intercepts.copy_(torch.tensor([float(each.intercept_[0]) for each in fitted]))
    return net


def chosen_by_folds(
    pixels: NDArray[Any], labels: NDArray[Any], grid: Mapping[str, Any], seed: int = 0
) -> dict[str, float]:
    """Choose penalty and width of the kernel by cross-validation.

    Each pair of values is fitted to four fifths of the pixels and scored on the others, five times;
    that with the highest mean accuracy is taken, of equal ones the first.

    Parameters
    ----------
    pixels, labels : ndarray
        As for `fit_svm`; five pixels of each class or more.
    grid : mapping
        Numbers, or a single one, of ``penalty`` and ``gamma``; by default those of `fit_svm`.
    seed : int
        Of the division into fifths.

    Returns
    -------
    dict
        ``penalty`` and ``gamma``.

    Raises
    ------
    UserError
        When scikit-learn is missing, a number cannot be meant or a class has too few pixels.
    """
    _refuse_unfit(pixels, labels)
    usual = {"penalty": 1.0, "gamma": _usual_gamma(pixels)}
    values = {name: _several(name, grid.get(name, usual[name])) for name in usual}
    fewest = int(np.bincount(labels).min())
    if fewest < FOLDS:
        raise UserError(
            f"a class has {fewest} pixels, which cannot be in {FOLDS} parts; state one penalty and "
            "one gamma"
        )
    machine = _machine()
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.multiclass import OneVsRestClassifier

    search = GridSearchCV(
        OneVsRestClassifier(machine(kernel="rbf")),
        {"estimator__C": values["penalty"], "estimator__gamma": values["gamma"]},
        cv=StratifiedKFold(FOLDS, shuffle=True, random_state=seed),
        refit=False,
    )
    best = search.fit(np.asarray(pixels, np.float64), labels).best_params_
    log.info("of %s, %s is best", values, best)
    return {"penalty": best["estimator__C"], "gamma": best["estimator__gamma"]}


def facts_of(net: RBFSVM) -> dict[str, Any]:
    """Options that a fitted machine has beside bands and classes, for its model file."""
    return {"vectors": len(net.vectors), "gamma": net.gamma, "penalty": net.penalty}


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


def _usual_gamma(pixels: NDArray[Any]) -> float:
    bands: int = pixels.shape[1]
    return 1 / (bands * _variance(pixels))


def _several(name: str, stated: Any) -> list[float]:
    numbers = stated if isinstance(stated, list | tuple) else [stated]
    if not numbers:
        raise UserError(f"{name}=[]: give a number above 0, or several")
    return [_positive(name, each) for each in numbers]


def _positive(name: str, value: Any) -> float:
    """A number, also when it is text: YAML takes 1e-3 for that."""
    try:
        number: float = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = 0.0
    if not 0 < number < float("inf"):
        raise UserError(f"{name}={value}: give a number above 0")
    return number


def _fitted(
    pixels: NDArray[np.float64], positive: NDArray[np.bool_], penalty: float, gamma: float
) -> Any:
    return _machine()(C=penalty, kernel="rbf", gamma=gamma).fit(pixels, positive)


def _machine() -> Any:
    """scikit-learn's class of support vector machines."""
    try:
        from sklearn.svm import SVC
    except ImportError as error:
        raise UserError(
            "fitting a support vector machine needs scikit-learn, which is not installed; "
            "pip install 'geoseg[train]'"
        ) from error
    return SVC
