"""Networks of segmentation-models-pytorch: asked for rightly, never with a download."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
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
        self.least, self.side = 0, None

    def forward(self, image: Tensor) -> Tensor:
        if min(image.shape[2:]) < self.least:
            raise RuntimeError("Given input size: (1x1x1). Calculated output size: (1x0x0).")
        assert self.side in (None, image.shape[2]), (
            f"Input height doesn't match model ({self.side})."
        )
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
        made = Fake(options["in_channels"], options["classes"])
        made.least = {"pan": 128, "dpt": 32}.get(arch, 0)
        made.side = 224 if encoder_name == "tu-swin" else None
        return made

    library = ModuleType("segmentation_models_pytorch")
    library.create_model = create_model  # type: ignore[attr-defined]
    library.MODEL_ARCHITECTURES_MAPPING = dict.fromkeys(  # type: ignore[attr-defined]
        ("unet", "linknet", "pan", "dpt")
    )
    library.encoders = SimpleNamespace(  # type: ignore[attr-defined]
        get_encoder_names=lambda: ["resnet34", "efficientnet-b4", "mit_b0"]
    )
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", library)
    timm = ModuleType("timm")
    timm.list_models = lambda: ["resnet18", "swin", "vit"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", timm)
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
        ("smp:vnet/resnet34", "no architecture 'vnet'; choose from unet, linknet, pan, dpt$"),
        ("smp:unet/vgg0", "no encoder 'vgg0'; choose from resnet34, efficientnet-b4, mit_b0, tu-N"),
        ("smp:unet/tu-vgg0", r"no encoder 'tu-vgg0'; .*, tu-NAME of timm\.list_models\(\)$"),
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


def test_a_timm_encoder_is_asked_for_where_timm_lists_it(calls: list[Any]) -> None:
    nets.build("smp:unet/tu-resnet18", **OPTIONS)
    assert [names for names, _ in calls] == [("unet", "tu-resnet18")]


def test_a_timm_encoder_of_one_size_is_refused_with_the_reason(calls: list[Any]) -> None:
    with pytest.raises(
        UserError, match=r"does not take windows of any size .*match model \(224\)\)"
    ):
        nets.build("smp:unet/tu-swin", **OPTIONS)


def test_pan_takes_windows_smaller_than_it_needs_as_if_the_mean_followed(calls: list[Any]) -> None:
    net = nets.build("smp:pan/resnet34", **OPTIONS).eval()
    assert (net.stride, net.halo) == (16, None)
    image = torch.randn(2, 3, 48, 160)
    behind = torch.cat([image, torch.zeros(2, 3, 80, 160)], 2)
    with torch.no_grad():
        assert net(image).shape == (2, 4, 48, 160)
        torch.testing.assert_close(net(image), net.net(behind)[:, :, :48])


def test_dpt_is_asked_for_windows_of_any_size_and_halves_the_grid_once_more(
    calls: list[Any],
) -> None:
    net = nets.build("smp:dpt/tu-vit", **OPTIONS)
    assert calls[0][1]["dynamic_img_size"] is True
    assert (net.stride, net.halo) == (32, None)


def test_a_library_that_does_not_load_is_told_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "segmentation_models_pytorch.py"
    broken.write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.delitem(sys.modules, "segmentation_models_pytorch", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        UserError, match=r"nms does not exist\); install torch and torchvision from"
    ):
        nets.build(NAME, **OPTIONS)


# ---- the library itself ------------------------------------------------------------------------

# Parameters that the library leaves without a use, by the names that they begin with.
IDLE = {
    "smp:pan/tu-test_resnet": ("net.decoder.fpa.",),  # biases before a normalisation
    "smp:dpt/tu-test_vit": ("encoder.model.norm.", "encoder.model.head."),
}
STRIDES = {
    "smp:unet/tu-test_resnet": 32,
    "smp:deeplabv3plus/resnet18": 16,
    "smp:pan/tu-test_resnet": 16,
    "smp:dpt/tu-test_vit": 32,
}


@pytest.fixture
def library() -> None:
    """Skips where the library is not there, or torchvision is of another build than torch."""
    try:
        constructor_of(NAME)
    except UserError as error:
        pytest.skip(f"needs the extra geoseg[smp], 5 GB with its torch: {error}")


def made(name: str) -> nn.Module:
    """With random weights everywhere: some encoders begin with zeros that let no gradient by."""
    net = nets.build(name, **OPTIONS)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for each in net.parameters():
            each.copy_(torch.randn(each.shape, generator=generator) / each[0].numel() ** 0.5)
    return net


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("name", STRIDES)
def test_the_library_itself_builds_networks_that_keep_to_the_contract(
    name: str, tmp_path: Path
) -> None:
    net = made(name).eval()
    assert net.stride == STRIDES[name]
    with torch.no_grad():
        for rows, columns in [(1, 1), (2, 5)]:
            images = torch.randn(2, 3, rows * net.stride, columns * net.stride)
            scores = net(images)
            assert scores.shape == (2, 4, *images.shape[2:])
            alone = torch.cat([net(image[None]) for image in images])
            torch.testing.assert_close(scores, alone, rtol=1e-3, atol=1e-3)
    net.train()(torch.randn(2, 3, 128, 192)).square().sum().backward()
    idle = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert [each for each in idle if not each.startswith(IDLE.get(name, ()) or "-")] == []
    model = segmenter_of(net, architecture=name, options=OPTIONS)
    assert model.card.stride == net.stride
    model.save(tmp_path / "model.safetensors")
    assert load(tmp_path / "model.safetensors").digest == model.digest


@pytest.mark.usefixtures("library")
def test_windows_of_a_unet_of_the_library_are_exact_and_others_are_blended() -> None:
    model = segmenter_of(made("smp:unet/tu-test_resnet"))
    side, halo = 32, model.card.halo
    assert halo is not None
    pixels = torch.randn(1, 3, 64, 2 * (halo // side + 1) * side + 128)
    start = (halo // side + 1) * side
    with torch.no_grad():
        whole = model.net(pixels)
        part = model.net(pixels[..., side:])
    np.testing.assert_allclose(
        part[..., start : start + 32], whole[..., start + side : start + side + 32], atol=1e-4
    )
    for name in ("smp:pan/tu-test_resnet", "smp:dpt/tu-test_vit"):
        assert segmenter_of(made(name)).card.halo is None


@pytest.mark.usefixtures("library")
def test_the_library_itself_has_networks_that_look_back_at_their_values() -> None:
    with torch.device("meta"):
        net = nets.build("smp:segformer/mit_b0", **OPTIONS).eval()
        assert net(torch.zeros(1, 3, 64, 64)).shape == (1, 4, 64, 64)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    "name", ["smp:dpt/tu-resnet18", "smp:unet/tu-swin_tiny_patch4_window7_224", "smp:dpt/resnet18"]
)
def test_the_library_itself_has_encoders_that_do_not_fit_and_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"\(.*\); choose another encoder"):
        nets.build(name, **OPTIONS)
