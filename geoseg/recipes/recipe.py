"""What a recipe is: settings with named variants and sizes, and what the paper printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from geoseg.errors import UserError
from geoseg.train import Dataset, Published, Settings, changed

__all__ = ["Published", "Recipe"]

Changes = Mapping[str, Any]
Variant = Changes | Callable[[Settings], Changes]


@dataclass(frozen=True)
class Recipe:
    """A published system, or our own way, to train a network.

    Parameters
    ----------
    name : str
    about : str
        One sentence: what it is and where it was published.
    settings : Settings
        Of its first variant, as published.
    read : callable, optional
        Reads a folder in the published layout; None where a data set must be described.
    laid_out : callable, optional
        The reader whose docstring tells the layout, where `read` is made of it.
    read_classmate : callable, optional
        The same for the second task of a network with two; None where it is laid out as the first.
    variants : sequence of mapping
        Changes by name, along one axis or several that combine freely; of each axis the first is
        meant when none is named. Instead of changes, what makes them of the settings so far.
    presets : mapping of str to mapping
        Changes by name; "paper" changes nothing.
    small, better : mapping of str to mapping
        By network, its options in the presets "quick" and "recommended".
    recommended : mapping of str to mapping
        By name of a variant, changes that the preset "recommended" makes to it, after its own.
    reading : mapping of str to mapping
        By name of a variant or preset, options of `read`.
    published : Published, optional
    """

    name: str
    about: str
    settings: Settings
    read: Callable[..., Dataset] | None = None
    laid_out: Callable[..., Dataset] | None = None
    read_classmate: Callable[[Path], Dataset] | None = None
    variants: Sequence[Mapping[str, Variant]] = ()
    presets: Mapping[str, Changes] = field(default_factory=lambda: {"paper": {}})
    small: Mapping[str, Changes] = field(default_factory=dict)
    better: Mapping[str, Changes] = field(default_factory=dict)
    recommended: Mapping[str, Changes] = field(default_factory=dict)
    reading: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    published: Published | None = None

    def chosen(self, variant: str = "", preset: str = "paper") -> Settings:
        """The settings of a variant in a preset.

        Parameters
        ----------
        variant : str
            Names joined by ``+``, at most one of each axis, e.g. ``resnet34+lovasz``.
        preset : str

        Raises
        ------
        UserError
            When there is no such variant or preset.
        """
        settings, names = self.settings, self._named(variant)
        for axis, name in zip(self.variants, names, strict=True):
            changes = axis[name]
            settings = changed(settings, changes(settings) if callable(changes) else changes)
        if preset not in self.presets:
            raise UserError(
                f"recipe {self.name} has no preset {preset!r}; choose from "
                f"{', '.join(self.presets)}"
            )
        settings = changed(settings, self.presets[preset])
        for name in names if preset == "recommended" else ():
            settings = changed(settings, self.recommended.get(name, {}))
        own = {"quick": self.small, "recommended": self.better}.get(preset, {})
        return changed(settings, own.get(settings.net, {}))

    def reader(self, variant: str = "", preset: str = "paper") -> Callable[[Path], Dataset] | None:
        """What reads a folder for a variant in a preset, with the bands that it learns from.

        Raises
        ------
        UserError
            As for `chosen`.
        """
        if self.read is None:
            return None
        options: dict[str, Any] = {}
        for name in (*self._named(variant), preset):
            options |= self.reading.get(name, {})
        return partial(self.read, **options)

    def _named(self, variant: str) -> list[str]:
        """A name of each axis: the first one where the variant names none of it."""
        rest, found = [each for each in variant.split("+") if each], []
        for axis in self.variants:
            own = [name for name in rest if name in axis]
            rest = [name for name in rest if name not in own[:1]]
            found.append(own[0] if own else next(iter(axis)))
        if rest:
            axes = " + ".join(f"({' | '.join(axis)})" for axis in self.variants) or "none"
            raise UserError(f"recipe {self.name} has no variant {rest[0]!r}; choose from {axes}")
        return found
