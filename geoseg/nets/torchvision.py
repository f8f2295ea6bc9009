"""Weights of torchvision's networks, taken over by their names."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from geoseg.errors import UserError

__all__ = ["take_over"]

RGB = 3  # bands of the images that torchvision's weights were trained on


def take_over(
    net: nn.Module,
    names: Mapping[str, str],
    state: Mapping[str, Tensor],
    first: str,
    kind: tuple[str, str],
) -> None:
    """Give the encoder of a network the weights of one of torchvision's.

    Where the network does not see three bands, each band's kernels of the first convolution become
    the sum of the three stored ones over the number of bands: whatever the bands are and in which
    order, an image whose bands are all alike gives the features of the grey image it shows. Three
    bands are taken as red, green and blue, and should be normalised as the weights want it.

    Parameters
    ----------
    net : Module
    names : mapping of str to str
        Torchvision's name of each entry of the encoder, by the network's own.
    state : mapping of str to Tensor
        By torchvision's names, those of its classifier left out. Counts of batches
        (``num_batches_tracked``), which old files lack, may be missing.
    first : str
        The network's own name of the kernels that see the bands.
    kind : tuple of str
        Torchvision's name of the network, and the options that must be those of the weights.

    Raises
    ------
    UserError
        When names or shapes of the weights are others.
    """
    own, (theirs, options) = net.state_dict(), kind
    _refuse_other_names(set(names.values()), set(state), theirs, options)
    found = {name: state[stored] for name, stored in names.items() if stored in state}
    for name, weights in found.items():
        expected = tuple(own[name].shape)
        if name == first:
            expected = (expected[0], RGB, *expected[2:])
        if tuple(weights.shape) != expected:
            raise UserError(
                f"{names[name]} has the shape {tuple(weights.shape)} where the network needs "
                f"{expected}; build the network with the {options} of the weights"
            )
    found[first] = _for_bands(found[first], own[first].shape[1])
    net.load_state_dict(own | found)


def _refuse_other_names(expected: set[str], given: set[str], theirs: str, options: str) -> None:
    missing = {name for name in expected - given if not name.endswith("num_batches_tracked")}
    for kind, names in (("lack", missing), ("have besides", given - expected)):
        if names:
            raise UserError(
                f"the weights {kind} {min(names)} (of {len(names)} such names); give those of "
                f"torchvision's {theirs}, or build the network with the {options} of the weights"
            )


def _for_bands(kernels: Tensor, bands: int) -> Tensor:
    """Kernels (width, bands, 7, 7) of stored ones (width, RGB, 7, 7)."""
    if bands == RGB:
        return kernels
    return kernels.sum(1, keepdim=True).expand(-1, bands, -1, -1) / bands
