"""A training run on disk: tensors in safetensors, the rest as JSON in its header; no pickle.

One file holds both, so that a checkpoint is there as a whole or not at all.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from geoseg.errors import UserError
from geoseg.places import refuse_long

__all__ = ["Best", "State", "checkpoint_of", "refuse_to_replace", "restore", "save"]

METADATA_KEY = "geoseg-training"


@dataclass(frozen=True)
class Best:
    """The step whose score on the validation scenes was the best so far.

    Parameters
    ----------
    step : int
        Steps done.
    score : float
    weights : dict of str to Tensor
        The network's ``state_dict``, in the processor's memory.
    """

    step: int
    score: float
    weights: dict[str, Tensor]


@dataclass
class State:
    """Everything that changes while a network is trained.

    Randomness is not among it: what is drawn at a step follows from the seed and the step.

    Parameters
    ----------
    net : Module
    optimiser : Optimizer
    scaler : GradScaler
        Keeps gradients of fp16 in range; of other precisions it does nothing.
    step : int
        Steps done.
    losses : list of float
        Of the steps since the last entry of `history`.
    history : list of dict
        Now and then: the step, the mean loss since the time before, scores of the validation.
    average : AveragedModel, optional
        Of the weights at the ends of cycles, see `geoseg.train.averaging`.
    best : Best, optional
        Where the best weights are to be kept, once there was a score.
    """

    net: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler = field(
        default_factory=lambda: torch.amp.GradScaler("cpu", enabled=False)
    )
    step: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    average: AveragedModel | None = None
    best: Best | None = None


def checkpoint_of(out: Path) -> Path:
    """Where the checkpoint of a model to be lies."""
    return out.with_name(f"{out.name}.checkpoint")


def refuse_to_replace(out: Path, resume: bool, overwrite: bool = False) -> None:
    """Refuse to train where a model is, or a run that did not finish and shall not go on.

    Raises
    ------
    UserError
    """
    saved = checkpoint_of(out)
    refuse_long(saved)  # the longer name
    if out.exists() and overwrite and resume and not saved.exists():
        raise UserError(
            f"{out} is finished, and no run of it is left to go on with; leave out --resume to "
            "train it anew"
        )
    if out.exists() and not overwrite:
        onward = f"; to train on from it, name another one and --set start={out}" if resume else ""
        raise UserError(f"{out} exists; name another model file or delete it{onward}")
    if saved.exists() and not resume:
        raise UserError(
            f"{saved} is there from a run that did not finish; give --resume to go on from it, or "
            "delete it to start over"
        )
    if not out.parent.is_dir():
        raise UserError(f"there is no folder {out.parent}; make it first")


def save(state: State, path: Path, facts: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Parameters
    ----------
    state : State
    path : Path
    facts : dict
        What the run is, to be compared when it is resumed; JSON.
    """
    header = {
        "step": state.step,
        "losses": state.losses,
        "history": state.history,
        "scaler": state.scaler.state_dict(),
        "best": state.best and {"step": state.best.step, "score": state.best.score},
        "facts": facts,
    }
    draft = path.with_name(f"{path.name}.part")
    save_file(_tensors(state), draft, metadata={METADATA_KEY: json.dumps(header)})
    os.replace(draft, path)


def restore(state: State, path: Path) -> dict[str, Any]:
    """Bring a fresh state to where a checkpoint stands.

    Returns
    -------
    dict
        The facts of the run that wrote it.

    Raises
    ------
    UserError
        When the checkpoint is damaged or of another network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[METADATA_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state.net.load_state_dict(_below("net", tensors))
        if state.average is not None:
            state.average.load_state_dict(_below("average", tensors))
        _restore_optimiser(state.optimiser, _below("optimiser", tensors))
        _restore_rest(state, header)
        if header.get("best"):  # older checkpoints know of none
            state.best = Best(**header["best"], weights=_below("best", tensors))
        facts = {part: header["facts"][part] for part in ("settings", "data")}
    except (SafetensorError, OSError, LookupError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{path} does not fit this run or is damaged ({str(error).splitlines()[0]}); delete "
            "it to start over"
        ) from error
    return facts


def _tensors(state: State) -> dict[str, Tensor]:
    kinds = {
        "net": state.net.state_dict(),
        "average": state.average.state_dict() if state.average is not None else {},
        "best": state.best.weights if state.best else {},
    }
    weights = {
        f"{kind}.{name}": tensor for kind, own in kinds.items() for name, tensor in own.items()
    }
    moments = {
        f"optimiser.{index}.{name}": tensor
        for index, each in state.optimiser.state_dict()["state"].items()
        for name, tensor in each.items()
    }
    return {name: each.detach().cpu().contiguous() for name, each in {**weights, **moments}.items()}


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        like = parameters[int(index)]
        moments.setdefault(int(index), {})[key] = _laid_out(tensor, like)
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": moments, "param_groups": groups})


def _restore_rest(state: State, header: dict[str, Any]) -> None:
    state.step = int(header["step"])
    state.losses, state.history = list(header["losses"]), list(header["history"])
    scale = header["scaler"]
    if state.scaler.is_enabled() and scale:
        state.scaler.load_state_dict(scale)


def _laid_out(tensor: Tensor, like: Tensor) -> Tensor:
    """The tensor in the memory layout of its parameter, in which the last bit comes out alike."""
    if tensor.shape != like.shape:
        return tensor
    return torch.empty_like(like, dtype=tensor.dtype, requires_grad=False).copy_(tensor)


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
