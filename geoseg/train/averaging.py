"""Stochastic weight averaging: one network from the ends of many cycles of the learning rate.

P. Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018.
Torch does the work; here it is fitted to training that stops and goes on. An average is a module,
and its ``state_dict`` all there is to it: averaged weights by name, with ``n_averaged`` for how
many went in::

    average = begin(net)
    for step in range(steps):
        ...
        if step + 1 in schedule.snapshots(steps):
            average.update_parameters(net)
    finish(average, net, values_of_one_epoch)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from geoseg.errors import UserError

__all__ = ["begin", "finish"]


def begin(net: nn.Module) -> AveragedModel:
    """An average that nothing has gone into yet; every snapshot will weigh the same.

    Parameters
    ----------
    net : Module
        Of which snapshots will be taken; it is copied.
    """
    return AveragedModel(net)


def finish(average: AveragedModel, net: nn.Module, batches: Iterable[Tensor]) -> None:
    """Give a network the averaged weights, and batch statistics that belong to them.

    The statistics of a layer are the mean over the batches, each weighing the same. They are
    gathered in training mode, since those of the snapshots belong to other weights.

    Parameters
    ----------
    average : AveragedModel
        Of this network.
    net : Module
        Is changed; afterwards in evaluation mode.
    batches : iterable of Tensor, shape (B, C, h, w)
        What the network is trained on, augmented, on its device; an epoch of it. Not touched where
        the network keeps no batch statistics.

    Raises
    ------
    UserError
        When nothing went into the average, or there is no batch to gather statistics from.
    """
    if not int(average.n_averaged):
        raise UserError("no weights were averaged yet: train to the end of the first cycle")
    net.load_state_dict(average.module.state_dict())
    update_bn(_at_least_one(batches), net)
    net.eval()


def _at_least_one(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    none = True
    for batch in batches:
        none = False
        yield batch
    if none:
        raise UserError("batch statistics need one batch at least; none was given")
