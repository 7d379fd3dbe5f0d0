"""Reconstruction terms by hand, and the frozen networks in whose features pictures are compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gan_cli.base.errors import UserError
from gan_cli.losses.perceptual import VGG19, VGG19_FILE, Features
from gan_cli.losses.reconstruction import feature_l1, feature_mse, gram, l1, masked_l1, mse, style


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


MADE = torch.tensor([[[[1.0, -1.0], [0.5, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]])
WANTED = torch.tensor([[[[0.0, 1.0], [0.5, 1.0]]], [[[0.0, 0.0], [0.0, -0.5]]]])  # off by 1, -2, 0, -1 and by 0.5


def test_absolute_and_squared_error_by_hand() -> None:
    assert l1(MADE, WANTED).tolist() == [1.0, 0.125]
    assert mse(MADE, WANTED).tolist() == [1.5, 0.0625]


def test_errors_are_means_over_channels_too() -> None:
    made, wanted = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    made[:, 1] = 0.75
    assert l1(made, wanted).tolist() == [0.25]
    assert mse(made, wanted).tolist() == [0.1875]


def test_masked_error_counts_the_hole_alone() -> None:
    """(1 + 2) / 2 in a hole of two pixels; 0.5 in a hole of one; nothing without a hole."""
    mask = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 1.0]]]])
    assert masked_l1(MADE, WANTED, mask).tolist() == [1.5, 0.5]
    assert masked_l1(MADE, WANTED, torch.zeros_like(mask)).tolist() == [0.0, 0.0]
    assert masked_l1(MADE, WANTED, torch.ones_like(mask)).tolist() == l1(MADE, WANTED).tolist()


def test_masked_error_is_a_mean_over_channels() -> None:
    """Three channels, off by 3, 0 and 0 in the hole: 1, not 3."""
    made, mask = torch.zeros(1, 3, 2, 2), torch.zeros(1, 1, 2, 2)
    made[0, 0], mask[0, 0, 0, 0] = 3, 1
    assert masked_l1(made, torch.zeros(1, 3, 2, 2), mask).tolist() == [1.0]


def test_feature_errors_are_means_over_layers() -> None:
    """Layers of different sizes weigh alike: (1 + 3) / 2 and (1 + 9) / 2."""
    made = [torch.ones(2, 4, 8, 8), torch.full((2, 1, 2, 2), -2.0)]
    wanted = [torch.zeros(2, 4, 8, 8), torch.ones(2, 1, 2, 2)]
    assert feature_l1(made, wanted).tolist() == [2.0, 2.0]
    assert feature_mse(made, wanted).tolist() == [5.0, 5.0]


def test_gram_by_hand() -> None:
    """Channels (1, 2) and (3, -1): inner products 5, 1, 10 over C H W = 4."""
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    assert gram(features).tolist() == [[[1.25, 0.25], [0.25, 2.5]]]


def test_style_by_hand() -> None:
    """Gram matrices [[1.25, 0.25], [0.25, 2.5]] against [[1, 0], [0, 0]]: (1/16 + 2/16 + 6.25) / (4 * 4)."""
    made = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    wanted = torch.tensor([[[[2.0, 0.0]], [[0.0, 0.0]]]])
    assert style([made], [wanted]).tolist() == pytest.approx([6.4375 / 16])
    assert style([made, wanted], [wanted, wanted]).tolist() == pytest.approx([6.4375 / 32])


def test_style_does_not_care_where() -> None:
    """Shuffled positions have the same Gram matrix; other values do not."""
    features = normal(2, 3, 4, 5)
    assert style([features], [features.flip(2).roll(1, 3)]).tolist() == pytest.approx([0, 0], abs=1e-10)
    assert style([features], [2 * features]).min() > 1e-3


@pytest.mark.parametrize("term", [l1, mse, lambda a, b: masked_l1(a, b, torch.ones(2, 1, 4, 4))])
def test_each_sample_pays_for_itself(term: Callable[[Tensor, Tensor], Tensor]) -> None:
    made, wanted = normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1)
    assert term(made, wanted)[0] == term(torch.stack([made[0], 9 * made[1]]), wanted)[0]
    assert term(made, wanted)[1] != term(torch.stack([made[0], 9 * made[1]]), wanted)[1]


@pytest.mark.parametrize("term", [feature_l1, feature_mse, style])
def test_no_gradient_goes_to_what_is_wanted(term: Callable[[list[Tensor], list[Tensor]], Tensor]) -> None:
    made, wanted = normal(2, 3, 4, 4).requires_grad_(), normal(2, 3, 4, 4, seed=1).requires_grad_()
    value = term([2 * made], [2 * wanted])
    assert value.shape == (2,)
    value.sum().backward()
    assert wanted.grad is None
    assert made.grad is not None
    assert made.grad.abs().max() > 1e-4


@pytest.mark.parametrize("term", [l1, mse])
def test_terms_are_float32_whatever_was_made(term: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert term(MADE.bfloat16(), WANTED).dtype == torch.float32
    assert style([MADE.bfloat16()], [WANTED.bfloat16()]).dtype == torch.float32


# ---- features of a trained network ----


class Net(nn.Module):
    """Doubles each channel, clips in place, then sums the channels up."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 1, bias=False)
        self.clip = nn.ReLU(inplace=True)
        self.noise = nn.Dropout(0.5)
        self.last = nn.Conv2d(channels, 1, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.noise(self.clip(self.first(image))))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    state = {"first.weight": 2 * torch.eye(3).view(3, 3, 1, 1), "last.weight": torch.ones(1, 3, 1, 1)}
    torch.save(state, tmp_path / "net.pth")
    return tmp_path / "net.pth"


def features(weights: Path | str, *layers: str, channels: int = 3, **options: float) -> Features:
    return Features(Net(channels), str(weights), layers, (0.5, 0.25, 0.0), (0.5, 0.25, 2.0), **options)


# in [0, 1]: 1, 0, 1; less the means, over the deviations: 1, -1, 0.5; doubled: 2, -2, 1; clipped: 2, 0, 1
IMAGE = torch.tensor([1.0, -1.0, 1.0]).view(1, 3, 1, 1).expand(-1, -1, 2, 2)


def test_features_are_those_of_the_named_layers(weights: Path) -> None:
    """In the order asked for, before what a later layer does in place, times the scale."""
    last, first, clipped = features(weights, "last", "first", "clip")(IMAGE)
    assert first[0, :, 1, 0].tolist() == [2.0, -2.0, 1.0]
    assert clipped[0, :, 0, 1].tolist() == [2.0, 0.0, 1.0]
    assert last.tolist() == [[[[3.0, 3.0], [3.0, 3.0]]]]
    (scaled,) = features(weights, "last", scale=0.5)(IMAGE)
    assert scaled.unique().tolist() == [1.5]


def test_grey_becomes_colour(weights: Path) -> None:
    """0 is 0.5 in [0, 1]: (0, 1, 0.25) doubled, in each of the three channels."""
    (first,) = features(weights, "first")(torch.zeros(2, 1, 1, 1))
    assert first.flatten(1).tolist() == [[0.0, 2.0, 0.5]] * 2


def test_imagenets_normalisation_is_the_default(weights: Path) -> None:
    (first,) = Features(Net(), str(weights), ["first"])(torch.ones(1, 3, 1, 1))
    assert first.flatten().tolist() == pytest.approx(
        [2 * 0.515 / 0.229, 2 * 0.544 / 0.224, 2 * 0.594 / 0.225], rel=1e-5
    )


def test_a_feature_network_is_frozen(weights: Path) -> None:
    """No parameters, no state, evaluation for ever; gradients reach the picture alone."""
    network = features(weights, "last").train()
    assert list(network.parameters()) == []
    assert network.state_dict() == {}
    image = IMAGE.clone().requires_grad_()
    first = network(image)[0]
    assert torch.equal(network(image)[0], first)  # its dropout is off
    first.sum().backward()
    assert image.grad is not None
    # d last / d image: 2 for a channel that is not clipped, over its deviation, times 1/2 for [-1, 1]
    assert image.grad[0, :, 0, 0].tolist() == [2.0, 0.0, 0.5]
    assert all(parameter.grad is None for parameter in network.__dict__["network"].parameters())
    host = nn.ModuleDict({"perceptual": network, "other": nn.Linear(2, 2)})
    assert set(host.state_dict()) == {"other.weight", "other.bias"}
    assert len(list(host.parameters())) == 2


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_feature_network_moves_along(weights: Path, when: str) -> None:
    """To another type, by way of the module that holds it, before or after its weights were read."""
    network = features(weights, "last")
    if when == "after":
        network(IMAGE)
    nn.ModuleDict({"perceptual": network}).to(torch.float64)
    assert {parameter.dtype for parameter in network.__dict__["network"].parameters()} == {torch.float64}
    (made,) = network(IMAGE.double())
    assert made.dtype == torch.float64
    assert made.unique().tolist() == [3.0]


def test_hooks_do_not_pile_up(weights: Path) -> None:
    network = features(weights, "first", "last")
    for _ in range(3):
        assert len(network(IMAGE)) == 2
    assert not any(module._forward_hooks for module in network.__dict__["network"].modules())


def test_the_file_is_read_once_and_not_before_it_is_needed(weights: Path) -> None:
    network, late = features(weights, "last"), features(weights, "last")
    network(IMAGE)
    weights.unlink()
    assert network(IMAGE)[0].unique().tolist() == [3.0]
    with pytest.raises(UserError, match="do not exist"):
        late(IMAGE)


def test_features_refuse_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"perceptual\.weights=.*nowhere\.pth.* do not exist"):
        features(tmp_path / "nowhere.pth", "last").load()


def test_features_refuse_a_layer_that_is_not_there(weights: Path) -> None:
    with pytest.raises(UserError, match=r"perceptual\.layers has 'middle', which is no layer of Net"):
        features(weights, "last", "middle").load()


@pytest.mark.parametrize("kind", ["shape", "names", "garbage", "empty", "pickle"])
def test_features_refuse_a_file_that_does_not_fit(tmp_path: Path, kind: str) -> None:
    """One sentence, whatever is wrong with the file; code in it is not run."""
    path = tmp_path / "net.pth"
    if kind == "shape":
        torch.save(Net(2).state_dict(), path)
    elif kind == "names":
        torch.save({"other.weight": torch.ones(1)}, path)
    elif kind == "pickle":
        torch.save(Net(3), path)  # a whole module, not a state_dict
    else:
        path.write_bytes(b"" if kind == "empty" else b"no weights at all")
    with pytest.raises(UserError, match=r"net\.pth' do not fit Net \(.+\)$") as caught:
        features(path, "last").load()
    assert "\n" not in str(caught.value)


# ---- VGG-19 ----


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torchvision keeps its downloads, with no network."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    return tmp_path / "hub" / "checkpoints"


def test_vgg_without_its_file_says_which_and_where(hub: Path) -> None:
    with pytest.raises(UserError, match=r"vgg19-dcbb9e9d\.pth.*no route to host.*perceptual\.weights=FILE") as caught:
        VGG19().load()
    assert repr(str(hub)) in str(caught.value)


def test_vgg_refuses_another_file(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth' do not fit torchvision's vgg19-dcbb9e9d\.pth \(size mismatch"):
        VGG19(str(tmp_path / "other.pth")).load()
    with pytest.raises(UserError, match=r"perceptual\.weights=.*nowhere\.pth.* do not exist"):
        VGG19(str(tmp_path / "nowhere.pth")).load()


@pytest.fixture(scope="module")
def vgg_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As torchvision's file: all names, random weights; of the classifier one tensor only."""
    from torchvision.models import vgg19

    with torch.device("meta"):
        network = vgg19().features
    network, chance = network.to_empty(device="cpu"), torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        fan = parameter[0].numel() if parameter.dim() > 1 else 1e4
        nn.init.uniform_(parameter, -((6 / fan) ** 0.5), (6 / fan) ** 0.5, generator=chance)
    path = tmp_path_factory.mktemp("vgg") / VGG19_FILE
    state = {f"features.{name}": value for name, value in network.state_dict().items()}
    torch.save({**state, "classifier.6.bias": torch.zeros(1000)}, path)
    return path


def test_vgg_gives_the_last_activated_convolution(vgg_weights: Path, hub: Path) -> None:
    """conv5_4, activated: 512 channels at a sixteenth of the size, over 12.75; found where torchvision keeps it."""
    image = normal(1, 3, 32, 48).clamp(-1, 1)
    (made,) = VGG19(str(vgg_weights))(image)
    assert made.shape == (1, 512, 2, 3)
    assert made.min() == 0
    assert made.max() > 0
    hub.mkdir(parents=True)
    (hub / VGG19_FILE).symlink_to(vgg_weights)
    before, after = VGG19(layers=["34", "35"], scale=1.0)(image)
    torch.testing.assert_close(before.clamp_min(0), after)
    torch.testing.assert_close(made, after / 12.75)


def test_vgg_refuses_a_layer_that_is_not_there(vgg_weights: Path) -> None:
    with pytest.raises(UserError, match=r"perceptual\.layers has '37'"):
        VGG19(str(vgg_weights), layers=["37"]).load()
