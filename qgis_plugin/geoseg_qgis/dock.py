# SPDX-License-Identifier: GPL-2.0-or-later
"""The dock: an image, a model, an area, one button."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from qgis.core import (
    QgsMapLayerProxyModel,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsReferencedRectangle,
)
from qgis.gui import (
    QgsCollapsibleGroupBox,
    QgsDockWidget,
    QgsDoubleSpinBox,
    QgsMapLayerComboBox,
    QgsScrollArea,
)
from qgis.PyQt.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qgis.PyQt.QtWidgets import (
    QGridLayout,
    QLabel,
    QMessageBox,
    QVBoxLayout,
    QWidget,
)

from . import results
from .background import Background
from .bands import BandTable
from .catalogue import Catalogue
from .engine.environment import NeverInstalled
from .extents import WHOLE, ExtentChooser
from .facts import facts_of, ground_size, has_no_pixels, sampler
from .fitting import (
    NOTE,
    STOP,
    WARNING,
    Finding,
    LayerFacts,
    ModelCard,
    Range,
    about_export,
    findings,
    size_words,
    suggested_bands,
)
from .models import ModelChooser
from .notices import Notice, Notices, quiet, shrinking
from .outputs import Outputs
from .run_panel import TITLE, RunPanel
from .tuning import Tuning
from .words import translated as _tr

LABEL_DROP = 5  # pixels, to the text of the control beside it
WAIT = 120  # milliseconds; while the map is dragged, nothing is worked out anew


class GeosegDock(QgsDockWidget):
    """Asks for what a run needs, runs it, and adds the results to the project.

    Parameters
    ----------
    iface : QgisInterface
    open_settings : callable
        Opens the settings page of the plugin.
    """

    def __init__(  # noqa: QGS105  (handed over, so that tests hand over theirs)
        self, iface: Any, open_settings: Callable[[], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("geosegDock")
        self.setWindowTitle(TITLE)
        self._iface, self._open_settings = iface, open_settings
        self._background = Background()
        self._values: dict[str, Mapping[int, Range]] = {}
        self._suggested, self._suggested_for = 0.0, ("", "")
        self.catalogue = Catalogue(self)
        self._make_controls()
        self._lay_out()
        self._look_later = QTimer(self)
        self._look_later.setSingleShot(True)
        self._look_later.setInterval(WAIT)
        self._look_later.timeout.connect(self.look)
        self._connect()
        self.look()

    # What is asked for

    def layer(self) -> QgsRasterLayer | None:
        """The image chosen."""
        return self.layers.currentLayer()

    def parameters(self) -> dict[str, Any]:
        """Parameters of the algorithm as chosen here."""
        layer = self.layer()
        told: dict[str, Any] = {
            # Not the layer itself, which somebody may remove while it runs.
            "INPUT": "" if layer is None else layer.id(),
            "MODEL": self.models.argument(),
            **self.tuning.parameters(),
            **self.outputs.parameters(),
        }
        if self.bands.argument():
            told["BANDS"] = self.bands.argument()
        if self.area.mask() is not None:
            told["MASK"] = self.area.mask_source()
        if layer is not None and self._needs_extent(layer):
            told["EXTENT"] = QgsReferencedRectangle(self.area.within(layer), layer.crs())
        if layer is not None and has_no_pixels(layer):
            told["PIXEL_SIZE"] = self.pixel_size.value()
        return told

    def _needs_extent(self, layer: QgsRasterLayer) -> bool:
        """Polygons bound the area themselves; a web map is exported before they are looked at."""
        if self.area.mask() is not None:
            return has_no_pixels(layer)
        return self.area.kind() != WHOLE

    def _part(self, layer: QgsRasterLayer) -> QgsRectangle:
        """What of the layer is read, in its CRS."""
        part = self.area.within(layer) if self._needs_extent(layer) else QgsRectangle()
        return layer.extent() if part.isEmpty() else part

    def look(self) -> None:
        """Compare the layer with the model, and say what does not fit."""
        layer = self.layer()
        facts = self._facts(layer) if layer is not None and layer.isValid() else None
        self._tell_layer(layer, facts)
        if facts is not None and not self.is_running():
            self.models.suggest(lambda each: _misfit(facts, each))
        card = self.models.card()
        if facts is not None and card is not None:
            self.bands.show_bands(facts.bands, card.bands)
        self.bands_box.setVisible(
            facts is not None and card is not None and len(facts.bands) >= len(card.bands)
        )
        found = self._findings(layer, facts)
        self.warnings.show_findings(found)
        stopped = any(each.severity == STOP for each in found)
        self.runs.run_button.setEnabled(layer is not None and card is not None and not stopped)

    def _findings(self, layer: QgsRasterLayer | None, facts: LayerFacts | None) -> list[Finding]:
        card = self.models.card()
        if layer is None:
            return [Finding(NOTE, _tr("Add a raster layer to the project to begin."))]
        if not layer.isValid():
            text = _tr("The layer cannot be read. Repair its source, or choose another one.")
            return [Finding(STOP, text)]
        if card is None or facts is None:
            return []
        chosen = self.bands.numbers()
        found = findings(facts, card, chosen)
        if None in chosen and len(facts.bands) >= len(card.bands):
            self.bands_box.setCollapsed(False)
        needed = [layer, self.area.mask()]
        problem = self.area.problem(layer) or self.outputs.problem(needed)
        if problem:
            # It is translated already, and may hold braces of a path.
            found.insert(0, Finding(STOP, "{problem}", {"problem": problem}))
        elif facts.exported:
            found += about_export(self._pixels(layer))
        return found

    def _facts(self, layer: QgsRasterLayer) -> LayerFacts:
        web = has_no_pixels(layer)
        facts = facts_of(layer, self._part(layer), self.pixel_size.value() if web else None)
        self.pixel_size_label.setVisible(web)
        self.pixel_size.setVisible(web)
        if web or facts.values:
            return facts
        key = f"{layer.id()} {layer.source()}"
        if key not in self._values:
            self._values = {key: {}}  # of one layer: those of all would be kept for ever
            self._sample(layer, key)
        return LayerFacts(facts.bands, facts.pixel_size, self._values[key])

    def _sample(self, layer: QgsRasterLayer, key: str) -> None:
        def done(values: Any, error: Exception | None) -> None:
            if error is None and key in self._values:
                self._values[key] = values
                self.look()

        self._background.call(_tr("geoseg: looking at values"), sampler(layer), done)

    def _pixels(self, layer: QgsRasterLayer) -> int | None:
        """How many pixels the chosen area has; None where it is a whole web map."""
        box = self.area.within(layer)
        if box.isEmpty():  # its sides are infinite from QGIS 3.40 on
            return 0
        if not has_no_pixels(layer):
            return round(
                box.width()
                * box.height()
                / (layer.rasterUnitsPerPixelX() * layer.rasterUnitsPerPixelY())
            )
        side = self.pixel_size.value()
        if self.area.kind() == WHOLE or not side:
            return None
        return round(box.width() * box.height() / side**2)

    def _tell_layer(self, layer: QgsRasterLayer | None, facts: LayerFacts | None) -> None:
        if layer is None or facts is None:
            for each in (self.about_layer, self.pixel_size_label, self.pixel_size):
                each.hide()
            self.area.tell("")
            return
        parts = [_tr("{} bands").format(len(facts.bands))]
        if facts.exported:
            parts = [_tr("web map")]
        else:
            parts.insert(0, f"{layer.width():,} × {layer.height():,} px")
        if facts.pixel_size is not None:
            parts.append(size_words(facts.pixel_size))
        parts.append(layer.crs().authid() or _tr("no CRS"))
        # A line may break between two parts, never within.
        kept = [part.replace(" ", "\u00a0").replace(":", ":\u2060") for part in parts]
        self.about_layer.setText(" · ".join(kept))
        self.about_layer.show()
        self._tell_area(layer)

    def _tell_area(self, layer: QgsRasterLayer) -> None:
        pixels = self._pixels(layer)
        if self.area.kind() == WHOLE or self.area.problem(layer) or pixels is None:
            self.area.tell("")
        else:
            self.area.tell(_tr("About {} pixels").format(f"{pixels:,}"))

    # The run

    def start(self) -> None:
        """Run it, unless something stands against it."""
        # What is shown may be older than the last choice.
        self._look_later.stop()
        self.runs.forget()
        self.look()
        if not self.runs.run_button.isEnabled():
            return
        existing = self.outputs.existing()
        replaced = results.layers_in(existing, QgsProject.instance().mapLayers().values())
        if existing and not self._may_replace(existing, bool(replaced)):
            return
        layer = self.layer()
        title = layer.name() if layer is not None else TITLE
        self.models.keep()
        if self.runs.start(self.parameters(), title):
            self.asked.setEnabled(False)
            # Their legends would lie about the new files, which Windows could not even put there.
            results.take_out(QgsProject.instance(), replaced)

    def _go_on(self) -> None:
        self.asked.setEnabled(True)
        self.look()

    def is_running(self) -> bool:
        """Whether a run is under way."""
        return self.runs.is_running()

    def _may_replace(self, files: list[Path], are_shown: bool) -> bool:
        listed = "\n".join(map(str, files))
        text = _tr("These files exist already and will be replaced:\n\n{}").format(listed)
        if are_shown:
            text += "\n\n" + _tr("Their layers will be taken out of the project.")
        answer = QMessageBox.question(
            self,
            _tr("Replace files?"),
            text,
            QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.Cancel,
            QMessageBox.StandardButton.Cancel,
        )
        return bool(answer == QMessageBox.StandardButton.Yes)

    # The engine

    def show_engine(self, error: Exception) -> None:
        """Say why the engine does not answer, and where that is mended."""
        missing = isinstance(error, NeverInstalled)
        text = (
            _tr("One more step: set geoseg up. It works in a Python of its own, apart from QGIS.")
            if missing
            else str(error)
        )
        self.engine.clear()
        notice = self.engine.add(Notice(WARNING, text))
        notice.add_button(_tr("Set up…"), self._open_settings)
        if not missing:
            notice.add_button(_tr("Try again"), self.refresh_models)

    def refresh_models(self) -> None:
        """Ask the engine for its models."""
        self.engine.clear()
        self.catalogue.refresh()

    def choose_layer(self, layer: Any) -> None:
        """Choose a layer, where it is a raster."""
        is_another = isinstance(layer, QgsRasterLayer) and layer is not self.layer()
        if is_another and not self.is_running():
            self.runs.forget()
            self.layers.setLayer(layer)

    def close_down(self) -> None:
        """Let go of everything before the plugin is unloaded."""
        self.runs.close_down()
        self._look_later.stop()
        self.catalogue.close()
        self._background.forget_all()
        self.area.close_tool()

    # Controls

    def _make_controls(self) -> None:
        self.engine = Notices()
        self.layers = shrinking(QgsMapLayerComboBox())
        self.layers.setFilters(QgsMapLayerProxyModel.Filter.RasterLayer)
        self.about_layer = quiet(QLabel())
        self.models = ModelChooser(self.catalogue)
        self.area = ExtentChooser(self._iface.mapCanvas())
        self.pixel_size = QgsDoubleSpinBox()
        self.pixel_size.setRange(0, 1e6)
        self.pixel_size.setToolTip(
            _tr("Side of a pixel, in units of the layer's CRS, with which it is exported")
        )
        self.warnings = Notices()
        self.bands = BandTable()
        self.bands_box = QgsCollapsibleGroupBox()
        self.bands_box.setTitle(_tr("Bands"))
        self.bands_box.setCollapsed(True)
        self.tuning = Tuning()
        self.tuning.setCollapsed(True)
        self.outputs = Outputs()
        self.runs = RunPanel(self._iface)

    def _lay_out(self) -> None:
        QVBoxLayout(self.bands_box).addWidget(self.bands)
        # No form layout: it gives a text that wraps the height of another width.
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        self.pixel_size_label = QLabel(_tr("Pixel size"))
        for row, (label, field) in enumerate(
            (
                (QLabel(_tr("Image")), _column(self.layers, self.about_layer)),
                (QLabel(_tr("Model")), self.models),
                (QLabel(_tr("Area")), self.area),
                (self.pixel_size_label, self.pixel_size),
                (QLabel(_tr("Save as")), self.outputs),
            )
        ):
            label.setContentsMargins(0, LABEL_DROP, 0, 0)
            grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(field, row, 1)
        self.asked = QWidget()
        asked = QVBoxLayout(self.asked)
        asked.setContentsMargins(0, 0, 0, 0)
        asked.addLayout(grid)
        asked.addWidget(self.warnings)
        asked.addWidget(self.bands_box)
        asked.addWidget(self.tuning)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.addWidget(self.engine)
        column.addWidget(self.asked)
        column.addStretch(1)
        scroll = _Scroll()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QgsScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inner)
        whole = QWidget()
        outer = QVBoxLayout(whole)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll, 1)
        outer.addWidget(self.runs)
        self.setWidget(whole)

    def _connect(self) -> None:
        soon = self._look_later.start
        self.layers.layerChanged.connect(lambda _layer: self._change_layer())
        # Layers that come and go change it, too; what was said stays then.
        self.layers.activated.connect(lambda _index: self.runs.forget())
        for part in (self.bands, self.outputs):
            part.changed.connect(lambda: soon())
        self.area.changed.connect(self._change_layer)
        self.models.changed.connect(self._change_layer)
        self.pixel_size.valueChanged.connect(lambda _value: soon())
        self.tuning.changed.connect(self._want)
        self.runs.run_button.clicked.connect(lambda _checked=False: self.start())
        self.runs.ended.connect(self._go_on)
        self.catalogue.failed.connect(self.show_engine)
        self.catalogue.file_refused.connect(lambda error: self.runs.refuse(str(error)))

    def _change_layer(self) -> None:
        self._suggest_pixel_size()
        self._look_later.start()

    def _suggest_pixel_size(self) -> None:
        """Offer the pixels that the model knows for what has none of its own."""
        layer, card = self.layer(), self.models.card()
        if layer is None or not layer.isValid() or not has_no_pixels(layer):
            return
        self.pixel_size.setDecimals(9 if layer.crs().isGeographic() else 3)
        asked = layer.id(), self.models.argument()
        is_own = self.pixel_size.value() != self._suggested
        if card is None or card.gsd is None or (is_own and asked == self._suggested_for):
            return  # what the user has made of it since stays
        unit = ground_size(layer.crs(), self._part(layer), (1.0, 1.0))
        if unit is not None and unit[0] > 0:
            self._suggested_for = asked
            self.pixel_size.setValue(float(f"{card.gsd / unit[0]:.3g}"))
            self._suggested = self.pixel_size.value()

    def _want(self) -> None:
        self.outputs.want(self.tuning.polygons.isChecked(), self.tuning.confidence.isChecked())


def _misfit(facts: LayerFacts, card: ModelCard) -> int:
    """How badly a model fits a layer, as far as nobody has chosen bands."""
    found = findings(facts, card, suggested_bands(facts.bands, card.bands))
    return max(
        (2 if each.severity == STOP else each.severity == WARNING for each in found), default=0
    )


class _Scroll(QgsScrollArea):
    """Scrolls up and down, and is never so narrow that something would be cut off."""

    def minimumSizeHint(self) -> QSize:  # noqa: N802  (Qt calls it)
        """As wide as what it holds and its scroll bar."""
        bar = self.verticalScrollBar().sizeHint().width()
        held = self.widget().minimumSizeHint().width()
        return QSize(held + bar, super().minimumSizeHint().height())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  (as above)
        """Ask for more room where what it holds has grown."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))


def _column(*widgets: QWidget) -> QWidget:
    whole = QWidget()
    column = QVBoxLayout(whole)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(3)
    for widget in widgets:
        column.addWidget(widget)
    return whole
