"""Networks of segmentation-models-pytorch: asked for rightly, never with a download."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toys import segmenter_of

from geoseg import nets
from geoseg.card import card_from_json, card_to_json
from geoseg.errors import UserError
from geoseg.nets.smp import constructor_of
from geoseg.segmenter import load
from geoseg.train.settings import Settings, change

NAME = "smp:unet/efficientnet-b4"
OPTIONS = {"in_channels": 3, "classes": 4}


class Fake(nn.Module):
    """As the library's models are: an encoder that tells its stride, and a head."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(in_channels, 2, 3, padding=1)
        self.encoder.output_stride = 16
        self.head = nn.Conv2d(2, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.encoder(image))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """What a stand-in for the library is asked for."""
    asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def create_model(arch: str, encoder_name: str, **options: Any) -> nn.Module:
        asked.append(((arch, encoder_name), options))
        if encoder_name == "mit_b0":
            torch.linspace(0, 1, 3)[1].item()  # fails without values
        if (arch, encoder_name) == ("linknet", "mit_b0"):
            raise ValueError("Encoder `mit_b0` is not supported for Linknet")
        return Fake(options["in_channels"], options["classes"])

    library = ModuleType("segmentation_models_pytorch")
    library.create_model = create_model  # type: ignore[attr-defined]
    library.MODEL_ARCHITECTURES_MAPPING = dict.fromkeys(  # type: ignore[attr-defined]
        ("unet", "linknet", "pan", "dpt")
    )
    library.encoders = SimpleNamespace(  # type: ignore[attr-defined]
        get_encoder_names=lambda: ["resnet34", "efficientnet-b4", "mit_b0"]
    )
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", library)
    return asked


def test_the_library_is_asked_for_random_weights(calls: list[Any]) -> None:
    net = nets.build(NAME, in_channels=10, classes=5)
    options = {"encoder_weights": None, "in_channels": 10, "classes": 5}
    assert calls == [(("unet", "efficientnet-b4"), options)]
    assert net.stride == 16
    assert net(torch.zeros(1, 10, 16, 32)).shape == (1, 5, 16, 32)


def test_bands_and_classes_are_all_its_options(calls: list[Any]) -> None:
    assert nets.options_of(NAME) == {"in_channels": None, "classes": None}
    with pytest.raises(UserError, match="has no option depth; choose from in_channels, classes"):
        nets.build(NAME, **OPTIONS, depth=3)
    with pytest.raises(UserError, match="needs the option classes"):
        nets.build(NAME, in_channels=3)
    assert calls == []


def test_settings_of_a_training_take_the_name(calls: list[Any]) -> None:
    assert change(Settings(), [f"net={NAME}"]).net == NAME
    with pytest.raises(UserError, match="no architecture 'vnet'"):
        change(Settings(), ["net=smp:vnet/resnet34"])


@pytest.mark.parametrize("name", [NAME, "smp:unet/mit_b0"])
def test_without_values_it_is_built_without_values(calls: list[Any], name: str) -> None:
    with torch.device("meta"):
        net = nets.build(name, **OPTIONS)
    assert {p.device.type for p in net.parameters()} == {"meta"}


def test_a_model_is_saved_and_loaded(calls: list[Any], tmp_path: Path) -> None:
    model = segmenter_of(nets.build(NAME, **OPTIONS), architecture=NAME, options=OPTIONS)
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert again.card == model.card == card_from_json(card_to_json(model.card))
    assert again.digest == model.digest
    assert all(options["encoder_weights"] is None for _, options in calls)


def test_without_the_library_the_user_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    message = r"'smp:unet/efficientnet-b4' needs .*not installed; pip install 'geoseg\[smp\]'"
    with pytest.raises(UserError, match=message):
        nets.build(NAME, **OPTIONS)
    with pytest.raises(UserError, match=message):
        nets.options_of(NAME)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smp:unet", r"'smp:unet' has no encoder; write smp:ARCHITECTURE/ENCODER, e\.g\. smp:unet"),
        ("smp:vnet/resnet34", "no architecture 'vnet'; choose from unet, linknet$"),
        ("smp:pan/resnet34", "no architecture 'pan'; choose from unet, linknet$"),
        ("smp:unet/vgg0", "no encoder 'vgg0'; choose from resnet34, efficientnet-b4, mit_b0$"),
        ("smp:unet/tu-hf-hub:someone/net", "no encoder 'tu-hf-hub:someone/net'"),
    ],
)
def test_other_names_are_refused_with_those_that_there_are(
    calls: list[Any], name: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        constructor_of(name)(**OPTIONS)
    assert calls == []


def test_an_encoder_that_does_not_fit_is_refused_with_the_reason(calls: list[Any]) -> None:
    with pytest.raises(UserError, match=r"cannot be built \(Encoder .* not supported for Linknet"):
        constructor_of("smp:linknet/mit_b0")(**OPTIONS)


@pytest.mark.parametrize("option", ["in_channels", "classes"])
def test_numbers_that_make_no_network_are_refused(calls: list[Any], option: str) -> None:
    with pytest.raises(UserError, match=rf"{option}=0: give a whole number from 1"):
        nets.build(NAME, **{**OPTIONS, option: 0})


def test_an_unknown_network_is_refused_with_the_way_to_the_library() -> None:
    with pytest.raises(UserError, match=r"no network 'vgg'; .* or smp:ARCHITECTURE/ENCODER with"):
        nets.options_of("vgg")


@pytest.mark.parametrize("name", ["smp:unet/resnet18", "smp:deeplabv3plus/resnet18"])
def test_the_library_itself_builds_networks_that_keep_to_the_contract(
    name: str, tmp_path: Path
) -> None:
    pytest.importorskip(
        "segmentation_models_pytorch", reason="needs the extra geoseg[smp], 5 GB with its torch"
    )
    net = nets.build(name, **OPTIONS).eval()
    assert net.stride == {"smp:unet/resnet18": 32, "smp:deeplabv3plus/resnet18": 16}[name]
    for rows, columns in [(1, 1), (2, 5)]:
        image = torch.randn(2, 3, rows * net.stride, columns * net.stride)
        with torch.no_grad():
            assert net(image).shape == (2, 4, *image.shape[2:])
    model = segmenter_of(net, architecture=name, options=OPTIONS)
    assert model.card.stride == net.stride
    model.save(tmp_path / "model.safetensors")
    assert load(tmp_path / "model.safetensors").digest == model.digest


def test_the_library_itself_has_networks_that_look_back_at_their_values() -> None:
    pytest.importorskip(
        "segmentation_models_pytorch", reason="needs the extra geoseg[smp], 5 GB with its torch"
    )
    with torch.device("meta"):
        net = nets.build("smp:segformer/mit_b0", **OPTIONS).eval()
        assert net(torch.zeros(1, 3, 64, 64)).shape == (1, 4, 64, 64)
