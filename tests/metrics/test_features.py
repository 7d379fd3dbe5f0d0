"""Features that pictures are compared in: the classifier's, a user's network's, Inception's; and torch-fidelity."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_cli.base.errors import UserError
from gan_cli.data.sets import Digits
from gan_cli.media.image import to_pixels
from gan_cli.metrics import classifier as module
from gan_cli.metrics.classification_accuracy import ClassificationAccuracy, share_of
from gan_cli.metrics.classifier import Classifier, accuracy, digest, side_for, trained_classifier
from gan_cli.metrics.evidence import Evidence
from gan_cli.metrics.features import (
    INCEPTION_FILE,
    ClassifierFeatures,
    Inception,
    Labelled,
    NetworkFeatures,
    coloured,
    digest_of_state,
    file_digest,
)
from gan_cli.metrics.fid import FrechetDistance
from gan_cli.metrics.inception_score import InceptionScore
from gan_cli.metrics.kid import KernelDistance
from gan_cli.metrics.precision_recall import PrecisionRecall
from gan_cli.metrics.statistics import FeatureStatistics

CPU = torch.device("cpu")


def random_pixels(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def digits(split: str) -> tuple[Tensor, Tensor]:
    data = Digits(split=split)  # type: ignore[arg-type]
    fields = data.fetch(torch.arange(len(data)), CPU)
    return to_pixels(fields["image"]), fields["label"]


# ---- the classifier ----


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training of 15 steps."""
    monkeypatch.setattr(module, "LEAST_STEPS", 15)
    monkeypatch.setattr(module, "EPOCHS", 0)


@pytest.fixture(scope="module")
def trained() -> Iterator[ClassifierFeatures]:
    """Features of a classifier of the digits, trained for a third of the steps."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    made = ClassifierFeatures()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LEAST_STEPS", 450)
        made.prepare(CPU, Labelled(*digits("train"), 10), Labelled(*digits("test"), 10))
    yield made
    torch.set_num_threads(before)


@pytest.mark.slow
def test_digits_are_told_apart(trained: ClassifierFeatures) -> None:
    """On pictures that it was not trained on, and the accuracy stands in the protocol."""
    assert trained.test_accuracy is not None
    assert trained.test_accuracy > 0.95
    assert accuracy(trained.network, *digits("test")) == trained.test_accuracy
    assert trained.warning == ""
    protocol = trained.protocol()
    assert protocol["test_accuracy"] == round(trained.test_accuracy, 4)
    assert protocol["name"] == "classifier"
    assert protocol["resize"] == "none"
    assert protocol["weights"] == digest_of_state(trained.network)


@pytest.mark.slow
def test_the_classifiers_features_and_logits_belong_together(trained: ClassifierFeatures) -> None:
    pixels, _ = digits("test")
    features, logits = trained(pixels[:30])
    assert features.shape == (30, 64)
    assert logits is not None
    torch.testing.assert_close(logits, trained.network(trained.network.seen(pixels[:30])))
    torch.testing.assert_close(trained(pixels[:30].float())[0], features)
    _, texture = trained.network.features(trained.network.seen(pixels[:30]))
    assert texture.shape == (30, 144)
    assert not features.requires_grad


@pytest.mark.usefixtures("hasty")
def test_a_classifier_trained_twice_is_the_same_and_leaves_no_trace() -> None:
    pixels, labels = digits("train")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = trained_classifier(pixels, labels, 10)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    with torch.no_grad():  # scoring runs without gradients
        second = trained_classifier(pixels, labels, 10)
    assert digest_of_state(first) == digest_of_state(second)
    assert not first.training
    assert not any(weight.requires_grad for weight in first.parameters())
    other = trained_classifier(pixels.flip(3), labels, 10)
    assert digest_of_state(other) != digest_of_state(first)


@pytest.mark.usefixtures("hasty")
def test_a_classifier_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache gives the same weights; torn files and other labels do not count; it need not be writable."""
    pixels, labels = digits("test")
    first = trained_classifier(pixels, labels, 10, tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    with monkeypatch.context() as patched:
        patched.setattr(module, "fit", lambda *_: pytest.fail("trained again"))
        torch.manual_seed(5)
        before = torch.get_rng_state()
        again = trained_classifier(pixels, labels, 10, tmp_path / "cache")
        assert torch.equal(torch.get_rng_state(), before)
    assert digest_of_state(again) == digest_of_state(first)
    assert not again.training
    file.write_bytes(file.read_bytes()[:1000])
    assert digest_of_state(trained_classifier(pixels, labels, 10, tmp_path / "cache")) == digest_of_state(first)
    trained_classifier(pixels, labels.roll(1), 10, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2
    (tmp_path / "file").write_text("")
    trained_classifier(pixels, labels, 10, tmp_path / "file")  # no folder can be made there


def test_a_classifier_is_known_by_its_data() -> None:
    pixels, labels = random_pixels(6, 1, 8, 8), torch.arange(6)
    known = digest(pixels, labels, 10)
    changed = pixels.clone()
    changed[5, 0, 7, 7] ^= 1
    others = [(changed, labels, 10), (pixels, labels.flip(0), 10), (pixels, labels, 6), (pixels.view(6, 1, 4, 16),)]
    assert known == digest(pixels.clone(), labels.clone(), 10)
    assert len({known, *(digest(*(*other, labels, 10)[:3]) for other in others)}) == 5


@pytest.mark.parametrize(
    ("height", "width", "side"), [(8, 8, 8), (4, 6, 8), (28, 28, 28), (40, 20, 20), (256, 300, 64)]
)
def test_large_pictures_are_brought_down(height: int, width: int, side: int) -> None:
    assert side_for(height, width) == side
    network = Classifier(3, side, 4).eval()
    assert network(network.seen(random_pixels(2, 3, height, width))).shape == (2, 4)


@pytest.mark.usefixtures("hasty")
def test_a_classifier_that_learned_nothing_warns() -> None:
    pixels, labels = random_pixels(200, 1, 8, 8), torch.arange(200) % 10
    made = ClassifierFeatures()
    made.prepare(CPU, Labelled(pixels, labels, 10), Labelled(random_pixels(50, 1, 8, 8, seed=1), labels[:50], 10))
    assert "of the held-out pictures in their class: distances in its features say little" in made.warning


def test_a_classifier_needs_labels() -> None:
    with pytest.raises(UserError, match="there are none here; use features=inception or features=module"):
        ClassifierFeatures().prepare(CPU)


def test_the_share_of_samples_that_are_what_was_asked_for() -> None:
    assert share_of(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 2, 3])) == 0.75
    assert share_of(torch.tensor([1, 0]), torch.tensor([0, 1])) == 0


def test_samples_that_teach_and_samples_that_mislead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real digits of the right classes as samples teach their classes; with classes shifted by one they teach none."""
    monkeypatch.setattr(module, "LEAST_STEPS", 120)
    monkeypatch.setattr(module, "EPOCHS", 0)
    (pixels, labels), (test_pixels, test_labels) = digits("train"), digits("test")
    found = {}
    for shift in (0, 1):
        fake = FeatureStatistics(keep=True)
        fake.add(torch.zeros(len(pixels), 2), torch.eye(10)[labels])
        asked = (labels + shift) % 10
        evidence = Evidence(
            fake=fake, fakes=pixels, asked=asked, test_images=test_pixels, test_labels=test_labels, num_classes=10
        )
        found[shift] = ClassificationAccuracy().of(evidence)
        assert ClassificationAccuracy().protocol(evidence) == {"tested_on": len(test_pixels)}
    assert found[0]["classification_accuracy"] > 0.9
    assert found[0]["asked_accuracy"] == 1
    assert found[1]["classification_accuracy"] < 0.1
    assert found[1]["asked_accuracy"] == 0
    with pytest.raises(UserError, match="needs a conditional model"):
        ClassificationAccuracy().of(Evidence(fakes=pixels))


# ---- a user's network ----


class Tiny(nn.Module):
    """Two layers whose features are known by hand: the second doubles the first's and adds 1."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 2, 1, bias=False)
        self.second = nn.Conv2d(2, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.second(self.first(image))


def tiny_file(folder: Path) -> Path:
    state = {
        "first.weight": torch.tensor([[1.0, 0, 0], [0, 1, 1]]).view(2, 3, 1, 1),
        "second.weight": torch.tensor([[2.0, 0], [0, 2]]).view(2, 2, 1, 1),
        "second.bias": torch.ones(2),
    }
    torch.save(state, folder / "tiny.pt")
    return folder / "tiny.pt"


def tiny(folder: Path, layer: str = "second", **options: Any) -> NetworkFeatures:
    scale = {"mean": (0.5, 0.5, 0.5), "deviation": (0.5, 0.5, 0.5)}
    return NetworkFeatures(Tiny(), str(tiny_file(folder)), layer, **{"size": None, **scale, **options})


def test_features_of_a_network_are_means_over_space(tmp_path: Path) -> None:
    """Pixels in [-1, 1]: the first feature is red's mean, the second that of green plus blue; then times 2 plus 1."""
    pixels = random_pixels(4, 3, 5, 6)
    red, green, blue = (pixels.float() / 127.5 - 1).mean((2, 3)).T
    for layer, scale, offset in (("first", 1, 0), ("second", 2, 1)):
        made = tiny(tmp_path, layer)
        made.prepare(CPU)
        features, logits = made(pixels)
        torch.testing.assert_close(features, torch.stack([red, green + blue], 1) * scale + offset)
        assert logits is None


def test_features_of_grey_pictures_and_of_a_scale(tmp_path: Path) -> None:
    """Of white: (1 - 0.4) / 0.2 = 3 in each channel, so 3 and 6."""
    made = tiny(tmp_path, "first", mean=(0.4, 0.4, 0.4), deviation=(0.2, 0.2, 0.2))
    made.prepare(CPU)
    torch.testing.assert_close(made(torch.full((1, 1, 4, 4), 255.0))[0], torch.tensor([[3.0, 6.0]]))


def test_features_say_what_they_are(tmp_path: Path) -> None:
    made = tiny(tmp_path, name="tiny", size=8)
    made.prepare(CPU)
    assert made(random_pixels(2, 3, 20, 12))[0].shape == (2, 2)
    assert made.protocol() == {
        "name": "tiny",
        "weights": hashlib.sha256((tmp_path / "tiny.pt").read_bytes()).hexdigest()[:16],
        "resize": "antialiased bicubic to 8x8",
        "layer": "second",
        "mean": [0.5] * 3,
        "deviation": [0.5] * 3,
    }


def test_pictures_are_resized_with_antialiasing(tmp_path: Path) -> None:
    """A fine chequerboard becomes even grey; without antialiasing it would not."""
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 255
    made = tiny(tmp_path, "first", size=8)
    made.prepare(CPU)
    seen: list[Tensor] = []
    made.frozen.__dict__["network"].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    made(board.expand(1, 3, 32, 32))
    assert seen[0].shape == (1, 3, 8, 8)
    assert seen[0][..., 2:-2, 2:-2].abs().max() < 0.02


@pytest.mark.parametrize("name", ["inception", "classifier", "", "_", "a-b", "a b", "a/b"])
def test_a_name_that_would_mislead_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be letters, digits and _, and not inception or classifier"):
        NetworkFeatures(Tiny(), "", "first", name)


def test_a_wrong_layer_or_file_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^features\.layer='third' is no layer of Tiny$"):
        tiny(tmp_path, "third").prepare(CPU)
    gone = NetworkFeatures(Tiny(), str(tmp_path / "gone.pt"), "first")
    with pytest.raises(UserError, match=r"the weights features\.weights='.*gone\.pt' do not exist"):
        gone.prepare(CPU)
    torch.save({"other": torch.ones(2)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match=r"the weights '.*other\.pt' do not fit Tiny \("):
        NetworkFeatures(Tiny(), str(tmp_path / "other.pt"), "first").prepare(CPU)


def test_a_layer_of_another_shape_is_refused(tmp_path: Path) -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.Flatten(2)

        def forward(self, image: Tensor) -> Tensor:
            return self.rows(image)

    torch.save({}, tmp_path / "none.pt")
    made = NetworkFeatures(Flat(), str(tmp_path / "none.pt"), "rows", size=None)
    made.prepare(CPU)
    with pytest.raises(UserError, match=r"features\.layer gives \(2, 3, 16\); it must give"):
        made(random_pixels(2, 3, 4, 4))


# ---- Inception ----


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a network that was drawn and never trained."""
    source = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    made, patched = tmp_path_factory.mktemp("inception") / "weights.pth", pytest.MonkeyPatch()
    with torch.random.fork_rng(devices=[]), patched.context() as patch:
        torch.manual_seed(0)
        patch.setattr(source.torch, "load", lambda *_, **__: {})
        patch.setattr(source.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = source.FeatureExtractorInceptionV3("inception", ["2048"], "none")
    torch.save(network.state_dict(), made)
    return made


def test_inception_is_torch_fidelitys_to_the_last_bit(inception_file: Path) -> None:
    source = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    theirs = source.FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], str(inception_file))
    sha = file_digest(inception_file)
    ours = Inception(str(inception_file), sha[:12])
    ours.prepare(CPU)
    pixels = random_pixels(2, 3, 20, 24)
    features, logits = ours(pixels)
    wanted = theirs(pixels)
    assert features.shape == (2, 2048)
    assert torch.equal(features, wanted[0])
    assert logits is not None
    assert torch.equal(logits, wanted[1])
    assert logits.shape == (2, 1008)
    assert not torch.equal(features[0], features[1])
    assert ours.protocol() == {
        "name": "inception",
        "weights": sha[:16],
        "resize": "TensorFlow 1 bilinear to 299x299",
    }
    with pytest.raises(UserError, match="metric=ppl needs other features"):
        ours(pixels.float())


def test_grey_is_repeated() -> None:
    grey = random_pixels(2, 1, 4, 4)
    assert torch.equal(coloured(grey), grey.repeat(1, 3, 1, 1))
    colour = random_pixels(2, 3, 4, 4)
    assert coloured(colour) is colour


def test_inception_weights_of_another_hash_are_not_opened(tmp_path: Path) -> None:
    pytest.importorskip("torch_fidelity")
    (tmp_path / "other.pth").write_bytes(b"something")
    begins = hashlib.sha256(b"something").hexdigest()[:8]
    said = rf"^'.*other\.pth' is not {INCEPTION_FILE}: its SHA-256 begins with {begins}, not 6726825d$"
    with pytest.raises(UserError, match=said):
        Inception(str(tmp_path / "other.pth")).prepare(CPU)


def test_inception_weights_that_are_missing_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch_fidelity")
    with pytest.raises(UserError, match=rf"gone\.pth' do not exist; they are {INCEPTION_FILE}"):
        Inception(str(tmp_path / "gone.pth")).prepare(CPU)

    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    said = rf"needs torch-fidelity's file {INCEPTION_FILE}; .*\(no network\).*features=classifier"
    with pytest.raises(UserError, match=said):
        Inception().prepare(CPU)


class Code:
    """Runs on unpickling."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("the file's code was run",)


@pytest.mark.parametrize("content", [{"code": Code()}, {"weight": torch.ones(2)}])
def test_inception_weights_with_code_or_of_another_network_are_refused(content: Any, tmp_path: Path) -> None:
    pytest.importorskip("torch_fidelity")
    file = tmp_path / "odd.pth"
    torch.save(content, file)
    with pytest.raises(UserError, match=r"odd\.pth' does not hold Inception's tensors"):
        Inception(str(file), sha256="").prepare(CPU)


# ---- the same numbers as torch-fidelity ----


def projected(pixels: Tensor) -> Tensor:
    """16 features of (N, 3, 16, 16), and nothing but a projection and a bend."""
    weight = torch.randn(3 * 16 * 16, 16, generator=torch.Generator().manual_seed(7), dtype=torch.float64) / 28
    return torch.tanh((pixels.double().flatten(1) / 127.5 - 1) @ weight).float()


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, float], Tensor, Tensor]:
    """torch-fidelity's scores of two sets in those features, and the sets: the fakes darker and less varied."""
    fidelity = pytest.importorskip("torch_fidelity")
    base = pytest.importorskip("torch_fidelity.feature_extractor_base").FeatureExtractorBase

    class Projection(base):  # type: ignore[misc, valid-type]
        def __init__(self, name: str, features_list: list[str], **options: Any) -> None:
            super().__init__(name, features_list)

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("projection",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "projection"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        @staticmethod
        def get_dummy_input_for_compile() -> Tensor:
            return random_pixels(1, 3, 16, 16)

        def forward(self, pixels: Tensor) -> tuple[Tensor]:
            return (projected(pixels),)

    class Pictures(torch.utils.data.Dataset):
        def __init__(self, pixels: Tensor) -> None:
            self.pixels = pixels

        def __len__(self) -> int:
            return len(self.pixels)

        def __getitem__(self, number: int) -> Tensor:
            return self.pixels[number]

    registry = pytest.importorskip("torch_fidelity.registry").FEATURE_EXTRACTORS_REGISTRY
    real, fake = random_pixels(200, 3, 16, 16), (random_pixels(200, 3, 16, 16, seed=1).float() * 0.8 + 20).byte()
    fidelity.register_feature_extractor("gan_cli_projection", Projection)
    try:
        found = fidelity.calculate_metrics(
            input1=Pictures(fake),
            input2=Pictures(real),
            feature_extractor="gan_cli_projection",
            cuda=False,
            isc=True,
            fid=True,
            kid=True,
            prc=True,
            isc_splits=1,
            kid_subsets=1,
            kid_subset_size=200,
            prc_neighborhood=3,
            verbose=False,
            cache=False,
            save_cpu_ram=True,
            cache_root=str(tmp_path_factory.mktemp("fidelity")),
        )
    finally:
        registry.pop("gan_cli_projection")
    return found, real, fake


@pytest.mark.parametrize(
    ("metric", "ours", "named"),
    [
        (FrechetDistance(), "fid", "frechet_inception_distance"),
        (KernelDistance(subset_size=200), "kid", "kernel_inception_distance_mean"),
        (InceptionScore(splits=1), "inception_score", "inception_score_mean"),
        (PrecisionRecall(), "precision", "precision"),
        (PrecisionRecall(), "recall", "recall"),
    ],
)
def test_scores_are_torch_fidelitys(
    metric: Any, ours: str, named: str, theirs: tuple[dict[str, float], Tensor, Tensor]
) -> None:
    found, real, fake = theirs

    def extractor(pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = projected(pixels)
        return features, features

    sides = [FeatureStatistics(keep=True) for _ in range(2)]
    for side, pixels in zip(sides, (real, fake), strict=True):
        for some in pixels.split(64):
            side.add(*extractor(some))
    assert abs(found[named]) > 1e-4
    assert metric.of(Evidence(*sides))[ours] == pytest.approx(found[named], rel=1e-4)


def test_the_spread_of_kernel_distances_is_defined_as_theirs() -> None:
    """Over the number of subsets, not one fewer."""
    sides = [FeatureStatistics(keep=True) for _ in range(2)]
    for number, side in enumerate(sides):
        side.add(torch.randn(30, 3, generator=torch.Generator().manual_seed(number)))
    evidence = Evidence(*sides)
    many = [KernelDistance(subsets=count, subset_size=10).of(evidence) for count in (1, 2)]
    second = 2 * many[1]["kid"] - many[0]["kid"]
    assert many[1]["kid_spread"] == pytest.approx(abs(many[0]["kid"] - second) / 2)
