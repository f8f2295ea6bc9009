"""Exported models compute the same and carry the same card; foreign weights are joined with one."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from toys import segmenter_of

from geoseg import nets
from geoseg.card import card_from_json, card_to_json
from geoseg.errors import UserError
from geoseg.exchange import EXPORTER, export_model, import_weights
from geoseg.segmenter import Segmenter

OPTIONS = {"in_channels": 3, "classes": 4, "widths": [8, 8]}


@pytest.fixture(scope="module")
def model() -> Segmenter:
    return segmenter_of(nets.build("unet", **OPTIONS), architecture="unet", options=OPTIONS)


def images() -> list[torch.Tensor]:
    """Batches of other numbers and sides than the exporter was shown."""
    return [torch.randn(n, 3, rows, columns) for n, rows, columns in [(1, 64, 64), (3, 40, 72)]]


def test_onnxruntime_gives_the_same_scores_and_finds_the_card(
    model: Segmenter, tmp_path: Path
) -> None:
    import onnxruntime

    export_model(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for image in images():
        (scores,) = session.run(["scores"], {"image": image.numpy()})
        np.testing.assert_allclose(scores, model.net(image).detach(), atol=1e-4)
    card = session.get_modelmeta().custom_metadata_map["geoseg"]
    assert card_from_json(card) == model.card
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_an_export_to_onnx_tells_nothing_of_operators_that_it_does_not_need(
    model: Segmenter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger(EXPORTER)
    seen: list[int] = []

    def watched(*args: object, **options: object) -> Any:
        logger.warning("torchvision is not installed. Skipping")
        logger.error("a fault")
        seen.append(logger.level)
        return export(*args, **options)

    export = torch.onnx.export
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", watched)
        patch.setattr(logger, "propagate", True)
        logger.addHandler(caplog.handler)
        export_model(model, tmp_path / "model.onnx")
        logger.removeHandler(caplog.handler)
    assert seen == [logging.ERROR]
    assert {each.levelname for each in caplog.records if each.name == EXPORTER} == {"ERROR"}
    assert logger.level != logging.ERROR
    assert (tmp_path / "model.onnx").is_file()


@pytest.mark.parametrize("ending", ["onnx", "pt2"])
def test_what_is_exported_never_gives_a_withheld_class(
    model: Segmenter, tmp_path: Path, ending: str
) -> None:
    import onnxruntime

    second = model.card.classes[1].value
    path = tmp_path / f"model.{ending}"
    export_model(Segmenter.from_card(model.net, replace(model.card, withheld=(second,))), path)
    (image, _) = images()
    if ending == "onnx":
        session = onnxruntime.InferenceSession(path)
        (scores,) = session.run(["scores"], {"image": image.numpy()})
    else:
        scores = torch.export.load(path).module()(image).detach().numpy()
    plain = model.net(image).detach().numpy()
    assert (plain.argmax(1) == 1).any()
    plain[:, 1] = -np.inf
    np.testing.assert_allclose(scores, plain, atol=1e-4)


def test_torch_export_gives_the_same_scores_and_finds_the_card(
    model: Segmenter, tmp_path: Path
) -> None:
    export_model(model, tmp_path / "model.pt2")
    extra = {"geoseg": ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=extra).module()
    for image in images():
        np.testing.assert_allclose(program(image).detach(), model.net(image).detach(), atol=1e-4)
    assert card_from_json(extra["geoseg"]) == model.card


def test_other_endings_and_existing_files_are_refused(model: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must end in \.onnx or \.pt2"):
        export_model(model, tmp_path / "model.pkl")
    (tmp_path / "model.pt2").write_text("mine")
    with pytest.raises(UserError, match=r"model\.pt2 exists"):
        export_model(model, tmp_path / "model.pt2")
    assert (tmp_path / "model.pt2").read_text() == "mine"
    with pytest.raises(UserError, match=r"there is no folder .*none; make it first"):
        export_model(model, tmp_path / "none" / "model.pt2")


def test_a_failed_export_leaves_nothing_behind(
    model: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(torch.export, "save", broken)
    with pytest.raises(OSError, match="disk full"):
        export_model(model, tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


def test_weights_and_card_make_the_model_again(model: Segmenter, tmp_path: Path) -> None:
    save_file(model.net.state_dict(), tmp_path / "weights.safetensors")
    (tmp_path / "card.json").write_text(card_to_json(model.card))
    again = import_weights(tmp_path / "weights.safetensors", tmp_path / "card.json")
    assert again.digest == model.digest


def test_weights_of_another_network_are_refused(model: Segmenter, tmp_path: Path) -> None:
    save_file({"mine": torch.zeros(2)}, tmp_path / "weights.safetensors")
    (tmp_path / "card.json").write_text(card_to_json(model.card))
    with pytest.raises(UserError, match="does not fit unet: Missing key"):
        import_weights(tmp_path / "weights.safetensors", tmp_path / "card.json")
    with pytest.raises(UserError, match=r"cannot be read .*give a \.safetensors file and a card"):
        import_weights(tmp_path / "nothing", tmp_path / "card.json")
