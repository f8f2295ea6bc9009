# SPDX-License-Identifier: GPL-2.0-or-later
"""The choice of a model, with what it is, takes and gives in plain sight."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Callable

from qgis.core import QgsSettings
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QFileDialog, QLabel, QVBoxLayout, QWidget

from .catalogue import Catalogue, is_demo
from .fitting import ModelCard, first_sentence, metres
from .notices import shrinking
from .words import translated as _tr

_LAST_MODEL, _LAST_FOLDER = "geoseg/dock/model", "geoseg/dock/model_folder"
_FROM_FILE = "file"


class ModelChooser(QWidget):
    """Shipped models by name, and files."""

    changed = pyqtSignal()

    def __init__(self, catalogue: Catalogue, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._catalogue = catalogue
        self._files: list[ModelCard] = []
        self._chosen: ModelCard | None = None
        self._whole = False
        self._awaited = ""
        self.choice = shrinking(QComboBox())
        self.choice.activated.connect(self._activate)
        self.told = QLabel()
        self.told.setWordWrap(True)
        self.told.setTextFormat(Qt.TextFormat.RichText)
        self.told.linkActivated.connect(self._unfold)
        self.told.setMinimumWidth(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.choice)
        column.addWidget(self.told)
        catalogue.changed.connect(self._fill)
        catalogue.file_read.connect(self._take_file)
        for failed in (catalogue.file_refused, catalogue.failed):
            failed.connect(lambda _error: self._show())
        self._fill()

    def card(self) -> ModelCard | None:
        """The model chosen."""
        chosen = self.choice.currentData()
        return chosen if isinstance(chosen, ModelCard) else None

    def argument(self) -> str:
        """The model as the algorithm takes it: a shipped one by name, another by path."""
        card = self.card()
        if card is None:
            return ""
        return card.path if card in self._files else card.name

    def choose(self, name: str) -> None:
        """Choose a shipped model by name."""
        index = self._place_of_name(name)
        if index >= 0:
            self.choice.setCurrentIndex(index)
            self._chosen = self.card()
            self._show()

    def keep(self) -> None:
        """Remember what is chosen, for it is used."""
        card = self._chosen = self.card()
        if card is not None and card not in self._files:
            QgsSettings().setValue(_LAST_MODEL, card.name)

    def suggest(self, rank: Callable[[ModelCard], int]) -> None:
        """Take the first of the shipped models with the lowest rank, unless one was chosen."""
        if self._chosen is not None or QgsSettings().value(_LAST_MODEL, ""):
            return
        listed = list(self._listed())[: len(self._catalogue.models)]
        place, best = min(
            listed, key=lambda each: (is_demo(each[1].name), rank(each[1])), default=(-1, None)
        )
        if best != self.card():
            self.choice.setCurrentIndex(place)
            self._show()

    def _fill(self) -> None:
        before = self._chosen or self.card()
        last = before.name if before else str(QgsSettings().value(_LAST_MODEL, ""))
        self.choice.clear()
        for card in self._catalogue.models:
            self.choice.addItem(card.name, card)
        for card in self._files:
            self.choice.addItem(self._file_words(card), card)
        shipped = len(self._catalogue.models)
        if self.choice.count():
            self.choice.insertSeparator(self.choice.count())
        self.choice.addItem(_tr("Model file…"), _FROM_FILE)
        # Names are those that their makers gave, so two files may have the same.
        very = -1 if before is None else self._place_of_path(before.path)
        wanted = very if very >= 0 else self._place_of_name(last)
        # No file takes the place of a shipped model, which the engine may be about to tell.
        self.choice.setCurrentIndex(max(wanted, 0 if shipped else -1))
        self._show()

    def _place_of_path(self, path: str) -> int:
        return next((place for place, card in self._listed() if card.path == path), -1)

    def _place_of_name(self, name: str) -> int:
        """Where the shipped model of that name is listed, before all files."""
        names = [card.name for card in self._catalogue.models]
        return names.index(name) if name in names else -1

    def _listed(self) -> Iterator[tuple[int, ModelCard]]:
        for place in range(self.choice.count()):
            card = self.choice.itemData(place)
            if isinstance(card, ModelCard):
                yield place, card

    def _file_words(self, card: ModelCard) -> str:
        """The name of a model's file, with its folder where there are two of that name."""
        path = Path(card.path)
        names = [Path(each.path).name for each in self._files]
        return path.name if names.count(path.name) < 2 else f"{path.name} ({path.parent})"

    def _activate(self, _index: int) -> None:
        if self.choice.currentData() == _FROM_FILE:
            self._fill()
            self._ask_file()
            return
        self._awaited = ""
        self.keep()
        self._show()

    def _ask_file(self) -> None:
        folder = str(QgsSettings().value(_LAST_FOLDER, ""))
        path, _ = QFileDialog.getOpenFileName(
            self,
            _tr("Choose a model file"),
            folder,
            _tr("Models (*.safetensors);;All files (*)"),
        )
        if path:
            QgsSettings().setValue(_LAST_FOLDER, str(Path(path).parent))
            self.told.setText(_tr("Reading {}…").format(escape(Path(path).name)))
            self._awaited = path
            self._catalogue.read_file(path)

    def _take_file(self, card: ModelCard) -> None:
        self._files = [*(each for each in self._files if each.path != card.path), card]
        self._fill()
        if card.path == self._awaited:  # else somebody has chosen another one since
            self.choice.setCurrentIndex(self._place_of_path(card.path))
            self._chosen = card
            self._show()

    def _show(self) -> None:
        card = self.card()
        # Marked as rich, for else Qt may take it for that by what it says.
        self.choice.setToolTip("" if card is None else f"<p>{escape(card.description)}</p>")
        self.told.setText("" if card is None else self._words(card))
        self.told.setVisible(card is not None)
        self.changed.emit()

    def _unfold(self, _link: str) -> None:
        self._whole = not self._whole
        self._show()

    def _words(self, card: ModelCard) -> str:
        short = first_sentence(card.description)
        text = escape(card.description if self._whole else short)
        if short != card.description.strip():
            word = _tr("less") if self._whole else _tr("more")
            text += f' <a href="#">{word}</a>'
        facts = _tr("Takes {bands} · {pixels}").format(
            bands=escape(", ".join(card.bands)), pixels=self._pixels(card)
        )
        return f"{text}<br>{facts}<br>{self._classes(card)}"

    def _pixels(self, card: ModelCard) -> str:
        if card.gsd is None:
            return _tr("pixels of any size")
        low, high = card.gsd_range or (card.gsd, card.gsd)
        if low == high:
            return _tr("pixels of {}").format(metres(low))
        return _tr("pixels of {} to {}").format(metres(low), metres(high))

    def _classes(self, card: ModelCard) -> str:
        """Each class behind a square of its colour; a line may break between two, never within."""
        return "&nbsp;&nbsp; ".join(
            f'<span style="color:{escape(str(each["color"]))}">■</span>&nbsp;'
            + escape(str(each["name"])).replace(" ", "&nbsp;")
            for each in card.classes
        )
