"""`--help` beside what is typed, the comments that it shows, and docs/options.md, which is made of the same."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import ROOT
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from gan_cli.base.allow_list import META_KEYS
from gan_cli.check.annotations import kind_of
from gan_cli.check.comments import comment_on, follows_from, is_overlay, said_by, said_in, typable
from gan_cli.check.may_be import adds_to, may_be
from gan_cli.check.signatures import LIMITS
from gan_cli.cli import options_page, outcome
from gan_cli.cli.composition import composed_as_typed
from gan_cli.cli.config import register_resolvers
from gan_cli.cli.keys import Composition, default_of
from gan_cli.cli.option_help import COLUMN, WIDTH, listed
from gan_cli.cli.printed import values
from gan_cli.cli.typed import read

CONF = ROOT / "conf"
EXPERIMENTS = sorted(file.stem for file in (CONF / "experiment").glob("*.yaml"))
FILES = [file for file in sorted(CONF.rglob("*.yaml")) if "experiment" not in file.parts]


class End(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., End]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(name: str, *arguments: str) -> End:
        GlobalHydra.instance().clear()
        monkeypatch.setattr(outcome, "code", 0)
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            importlib.import_module(f"gan_cli.cli.{name.removeprefix('gan-')}").main()
        assert list(tmp_path.iterdir()) == []
        return End(int(end.value.code or 0), *capsys.readouterr())

    return run


# ---- a composition ----

SNGAN = """\
model=sngan (typed): SNGAN (Miyato et al. 2018): residual blocks, a critic under spectral norm;
    powers of two from 16 up
  model.conditional = none                  none, projection (labels told to both networks),
                                            auxiliary (the critic names the class)
  model.auxiliary_weight = 1.0              a number from 0 to 1e+06: factor on the class terms,
                                            with conditional=auxiliary
  model.num_classes = null                  a whole number from 1 up or null: classes that the
                                            networks are told; null with conditional=none, else the
                                            data set's
  model.latent.size = 128                   a whole number from 1 to 65,536: numbers in a latent
  model.generator.latent_size = 128         a whole number from 1 to 65,536: follows
                                            model.latent.size
"""
WIDE = """\
  model.generator.width = 32 (typed)        a whole number from 1 to 65,536: channels of all blocks
                                            up to 32 px; the middle of the range beyond
"""
BROUGHT = """\
  optimizer.betas = [0.0,0.9]               a list of 2 numbers from 0 to below 1: shares that the
                                            running means of gradients and of their squares keep at
                                            a step; the loss or the model may recommend others;
                                            model=sngan brings it
"""


def test_each_key_of_a_composition_has_its_line(command: Command) -> None:
    end = command("gan-train", "--help", "model=sngan", "model.generator.width=32")
    assert (end.code, end.err) == (0, "")
    for block in (SNGAN, WIDE, BROUGHT):
        assert f"\n{block}" in end.out
    for line in (
        "loss=hinge (by model=sngan): Hinge (Lim and Ye 2017): the critic stops caring beyond a margin of 1",
        "penalty=[]: none chosen; there is dragan, drift, gradient_penalty, mode_seeking, path_length, r1, r2",
        "  dataset.resolution = 16                   a whole number from 1 to 65,536 or null: side of the",
        "  dataset.channels = 1                      1 grey, 3 colour; null: the files' own",
        "  dataset.flip = false                      mirror left to right with probability one half",
        "  trainer.batch_size = 64                   a whole number from 1 to 65,536: real images of one",
        "  trainer.precision = float32               float32, bfloat16 or float16 (with a loss scaler)",
        "  resume = null                             a path or null: a run folder: go on exactly where it",
    ):
        assert line in end.out.splitlines()
    assert end.out.count("(typed)") == 2, "the model and its width"


def test_an_experiment_several_options_and_what_is_brought(command: Command) -> None:
    out = command("gan-train", "--help", "experiment=r3gan_fashion", "loss=wgan_gp").out
    lines = out.splitlines()
    assert (
        "loss=wgan_gp (typed): Wasserstein with gradient penalty (Gulrajani et al. 2017): brings the penalty," in lines
    )
    assert lines.index("penalty=[r1,r2] (by experiment=r3gan_fashion)") > 0
    assert "  r1: R1 (Mescheder et al. 2018): squared critic gradient at reals" in lines
    assert any(line.startswith("  penalty.r1.every = 4 (experiment) ") for line in lines)
    assert any(line.startswith("  optimizer.learning_rate = 0.002 (experiment)") for line in lines)
    assert "model=r3gan brings it" in out, "the betas: it insists"
    assert "loss=wgan_gp brings it" not in out


def test_what_stands_for_a_whole_part_is_one_line(command: Command) -> None:
    out = command("gan-train", "--help", "model=stylegan").out
    assert "\n  model.growth.start = 8 " in out
    assert "model.generator.growth.start" not in out
    assert "\n  model.generator.growth = ${model.growth}  a part with a _target_ (Growth): follows model.growth" in out


def test_what_cannot_run_yet_is_said(command: Command) -> None:
    end = command("gan-train", "--help", "dataset=image_folder")
    assert "\n  dataset.root = needed                     the folder of pictures;" in end.out
    assert end.err == (
        "this can't run yet: dataset=image_folder needs the folder of your pictures: dataset.root=FOLDER\n"
    )
    end = command("gan-train", "--help", "model=dcgann")
    assert "model= (one of)" in end.out
    assert "model=dcgann does not exist; did you mean dcgan" in end.err


def test_a_sweep_and_hydras_own_settings_get_the_general_help(command: Command) -> None:
    general = command("gan-train", "--help").out
    assert command("gan-train", "--help", "-m", "model=gan,dcgan").out == general
    assert command("gan-train", "--help", "-m", "model=gan,dcgan", "trainer.keep_checkpoints").out == KEEP
    assert command("gan-train", "--help", "hydra.run.dir=x").out == general


def test_the_other_commands_list_their_keys_too(command: Command) -> None:
    lines = command("gan-sample", "--help", "mode=interpolation", "checkpoint=x").out.splitlines()
    assert "  frames = 240                              a whole number from 1 to 1,000,000: how many pictures," in lines
    assert "  dataset.root = null                       a path or null: dataset.root=FOLDER: where the data of" in lines
    assert (
        "  checkpoint = x (typed)                    a path: a run folder (its newest valid checkpoint) or a" in lines
    )
    assert not [line for line in lines if line.startswith("  format = ")], "of mode=grid"
    out = command("gan-evaluate", "--help", "metric=[kid,fid]").out
    assert "\n  metric.kid.subsets = 100                  a whole number from 1 to 10,000: random subsets" in out
    out = command("gan-export", "--help", "format=export").out
    assert "\n  format = export (typed)                   onnx, export (a torch.export program, .pt2) or" in out
    assert "\n  at = best (typed) " in command("gan-report", "--help", "at=best").out


def test_a_key_of_ones_own_model_needs_no_comment(command: Command, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("own")
    (folder / "model").mkdir()
    (folder / "model" / "mine.yaml").write_text(
        "# Mine\n_target_: gan_cli.game.gan.GAN\npack: 3\nhalo: 1  # of light\n"
    )
    out = command("gan-train", "--config-dir", str(folder), "--help", "model=mine").out
    assert "\nmodel=mine (typed): Mine\n" in out
    assert "\n  model.pack = 3                            a whole number from 1 to 1,024\n" in out
    assert "\n  model.halo = 1                            of light\n" in out


def leaves(node: Any, prefix: str = "") -> Iterator[str]:
    """The keys of a composed config that can be typed, found in another way than the help does."""
    for name, value in node.items():
        if name in ("_target_", "hydra", *META_KEYS):
            continue
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


@pytest.mark.sampled(6)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_key_of_an_experiment_has_a_line_that_says_something(name: str) -> None:
    register_resolvers()
    typed = read([f"experiment={name}"])
    raw = OmegaConf.to_container(composed_as_typed(typed, "train"), resolve=False)
    lines = listed(Composition(values(typed, "train"), "train", ["experiment"], typed.folders()))
    text = "\n".join(lines)
    told = {
        found.group(1): found.group(2) for found in re.finditer(r"^  ([\w.]+) = ((?:.*)(?:\n {5,}.*)*)", text, re.M)
    }
    wanted = {key for key in leaves(raw) if not is_of_a_table(key, told)}
    assert wanted - set(told) == set()
    assert len(wanted) > 50
    for key, rest in told.items():
        said = re.split(r"\s{2,}|\n", rest, maxsplit=1)
        assert len(said) == 2, f"{key}: nothing is said of it"
        assert said[1].strip(), f"{key}: nothing is said of it"
    assert [line for line in text.splitlines() if len(line) > WIDTH and "/" not in line and "{" not in line] == []


def is_of_a_table(key: str, told: dict[str, str]) -> bool:
    """Whether a key is in a table that one line shows, as `model.batch_sizes`."""
    return any(key.startswith(f"{other}.") for other in told)


# ---- a key ----

KEEP = """\
trainer.keep_checkpoints = 2
    default  2
    may be   a whole number from 1 up
    is       how many of the newest checkpoints stay
    of       trainer=default trainer=smoke
"""
MIXING = """\
model.mixing{}
    default  0.9
    may be   a number from 0 to 1
    is       share of the samples whose finer layers get a second latent's style
    of       model=stylegan model=stylegan2
"""
FRAMES = """\
frames, which mode=grid does not have
    default  240
    may be   a whole number from 1 to 1,000,000
    is       how many pictures, shown at 30 a second
    of       mode=interpolation
"""
SEED = """\
seed = 3 (typed)
    default  0
    may be   a whole number from 0 up
    is       every random number of the run is a function of it
"""
N_CRITIC = """\
loss.n_critic = 1
    may be   a whole number from 1 to 1,000
    loss=dragan loss=hinge loss=lsgan loss=minimax loss=nonsaturating loss=relativistic_average
        loss=relativistic_pairing: 1; critic updates for each generator update, each on a fresh
        batch
    loss=wgan loss=wgan_gp: 5; critic updates for each generator update; 1 with optimizer=ttur
"""
SCORE = """\
hydra.sweeper.score, with hydra/sweeper= as below
    default  null
    may be   a word or null
    is       what to make better, as fid_classifier; lower or higher follows from the metric
    of       hydra/sweeper=optuna
"""


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("gan-train trainer.keep_checkpoints", KEEP),
        ("gan-train keep_checkpoints", KEEP),
        ("gan-train trainer.keep_checkpoints trainer.keep_checkpoints=5", KEEP.replace(" = 2", " = 5 (typed)")),
        ("gan-train model.mixing model=stylegan2", MIXING.format(" = 0.9")),
        ("gan-train mixing", MIXING.format(", which model=dcgan does not have")),
        ("gan-sample frames", FRAMES),
        ("gan-train seed=3 seed", SEED),
        ("gan-train n_critic", N_CRITIC),
        ("gan-train hydra.sweeper.score", SCORE),
        ("gan-train mixing seed seed=3", MIXING.format(", which model=dcgan does not have") + "\n" + SEED),
    ],
)
def test_a_key_alone_is_told_in_full(typed: str, told: str, command: Command) -> None:
    name, *arguments = typed.split()
    assert command(name, "--help", *arguments) == End(0, told, "")


def test_a_table_and_a_last_part_tell_all_keys(command: Command) -> None:
    out = command("gan-train", "--help", "optimizer.schedule").out
    assert re.findall(r"^optimizer.schedule.(\w+) = ", out, re.M) == [
        *("kind", "start_images", "end_images", "final_factor", "warmup_images")
    ]
    out = command("gan-train", "--help", "width").out
    heads = [line.partition(",")[0] for line in out.splitlines() if line.startswith("model.")]
    assert {"model.generator.width", "model.discriminator.width", "model.a_to_b.width"} <= set(heads)
    assert (
        "    model=sngan: 256; channels of all blocks up to 32 px; the middle of the range beyond" in out.splitlines()
    )


def test_a_group_lists_its_options(command: Command) -> None:
    out = command("gan-train", "--help", "penalty").out
    assert out.startswith("penalty= (one of, several as [a,b])\n  dragan ")
    assert "  optuna  " in command("gan-train", "--help", "hydra/sweeper").out


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("gan-train trainer.keep_checkpoint", "there is no key trainer.keep_checkpoint; did you mean trainer.keep_ch"),
        ("gan-train stylegan2", "stylegan2 is an option and no key: gan-train --help model=stylegan2 lists its keys"),
        ("gan-train fid", "fid is an option and no key: gan-train --help metric=[fid] lists its keys"),
        ("gan-train batch", "there is no batch: trainer.batch_size"),
        ("gan-train qqqq", "there is no key qqqq"),
        ("gan-sample fraems", "there is no key fraems; did you mean frames"),
        ("gan-report learning_rate", "there is no key learning_rate"),
        ("gan-train hydra.run.dir", "hydra.run.dir is for Hydra's own settings"),
    ],
)
def test_no_such_key_is_one_sentence(typed: str, words: str, command: Command) -> None:
    name, *arguments = typed.split()
    end = command(name, "--help", *arguments)
    assert (end.code, end.out, len(end.err.splitlines())) == (2, "", 1)
    assert end.err.startswith(f"error: {words}")


@pytest.mark.parametrize("typed", ["model=stylegan2", "mixing", "experiment=ring"])
def test_none_of_it_imports_torch(typed: str, tmp_path: Path) -> None:
    program = (
        "import atexit, sys\n"
        "from gan_cli.cli.train import main\n"
        "atexit.register(lambda: print(sorted({'torch', 'torchvision'} & set(sys.modules))))\n"
        "main()"
    )
    command = [sys.executable, "-c", program, "--help", typed]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "[]"


# ---- comments ----


def said_of(file: Path) -> dict[str, Any]:
    group = str(file.parent.relative_to(CONF))
    return said_in(file) if group == "." else said_by(group, file.stem, [CONF])


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_key_has_a_comment_that_stands_alone(file: Path) -> None:
    said = said_of(file)
    for key in typable(said):
        comment = comment_on(key, said)
        assert comment or follows_from(said[key].value), f"{file.name}: {key} needs a comment: what it is, its unit"
        assert not re.match(r"(\.\.\.|or |and |the same\b|of it\b)", comment), f"{key}: {comment!r} leans on another"
        assert "..." not in comment.replace("[...]", "").replace("=...", ""), f"{key}: {comment!r} goes on elsewhere"


def test_the_comments_that_are_looked_at_are_many() -> None:
    assert sum(len(list(typable(said_of(file)))) for file in FILES) > 500


FILE = """\
# @package _global_
# What it is
defaults:
  - override /model: gan
mode:
  _target_: somewhere.Mode   # no key
  requires: {options: [count]}  # nor this
text: "a # in it"   # a text
plain: a#b          # hash # twice
table: {4: 128, 8: null}    # by side
rates:              # of a player
  generator: ${half:${trainer.total_images}}
  critic: null      # its own
both: ${dataset.channels}
none: 3
"""


def test_comments_are_read_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "mode").mkdir()
    (tmp_path / "mode" / "mine.yaml").write_text(FILE)
    said = said_by("mode", "mine", [tmp_path])
    found = {key: comment_on(key, said) for key in typable(said)}
    assert found == {
        "text": "a text",
        "plain": "hash # twice",
        "table.4": "by side",
        "table.8": "by side",
        "rates.generator": "",
        "rates.critic": "its own",
        "both": "",
        "none": "",
    }
    assert said["text"].value == "a # in it"
    assert follows_from(said["rates.generator"].value) == ["trainer.total_images"]
    assert follows_from(said["both"].value) == ["dataset.channels"]
    assert not is_overlay(tmp_path / "mode" / "mine.yaml", "mode")
    assert is_overlay(CONF / "experiment" / "ring.yaml", "experiment")


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ("Count", "a whole number from 1 up"),
        ("Count | None", "a whole number from 1 up or null"),
        ("Where | None", "a path or null"),
        ("Where", "a path"),
        ("str | int | None", "a path or null"),
        ("Beta", "a number from 0 to below 1"),
        ("bool", "true or false"),
        ("Literal['a', 'b'] | None", "one of a, b or null"),
        ("Annotated[int, Interval(ge=0, lt=9_223_372_036_854_775_808)]", "a whole number from 0 up"),
        ("str | int | float | bool | None", "any word or null"),
        ("Any", ""),
    ],
)
def test_what_a_key_may_be_in_words(annotation: str, words: str) -> None:
    assert may_be(kind_of(annotation, LIMITS)) == words


def test_choices_that_a_comment_names_are_not_said_twice() -> None:
    kind = kind_of("Literal['ring', 'grid'] | None", LIMITS)
    assert adds_to(kind, "ring or grid; null: as it comes") == ""
    assert adds_to(kind, "ring or grid") == "one of ring, grid or null"
    assert adds_to(kind, "ringed or grid; null: none") == "one of ring, grid or null"


@pytest.mark.parametrize(
    ("written", "default"),
    [
        ("${recommended:betas,[0.5,0.999]}", "[0.5,0.999]"),
        ("${recommended:learning_rate,2.0e-4}", "0.0002"),
        ("${oc.env:GAN_DATA,data}", "data"),
        ("${n_critic:5}", "5"),
        ("${brought:penalty.r1.final_weight,null}", "null"),
        ("${half:${trainer.total_images}}", ""),
        ("${times:2,${model.pack}}", ""),
        ("${dataset.channels}", ""),
        ("???", "needed"),
        (["35"], "[35]"),
        (None, "null"),
    ],
)
def test_a_default_is_read_from_what_is_written(written: Any, default: str) -> None:
    assert default_of(written) == default


# ---- docs/options.md ----


def test_the_page_of_options_is_what_the_configs_say() -> None:
    there = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    assert there == options_page.page(), "docs/options.md is not what conf/ says: run   make options"


def test_the_page_has_every_option_and_key() -> None:
    page = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", page, re.M)
    for file in CONF.glob("*/*.yaml"):
        assert f"{file.parent.name}={file.stem}" in headings
    anchors = [options_page.anchor(title) for title in headings]
    assert len(set(anchors)) == len(anchors)
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) <= set(anchors)
    for key in ("trainer.keep_checkpoints", "hydra.sweeper.trials", "frames", "penalty.r1.weight"):
        assert page.count(f"| `{key}` |") == 1, "it stands once"
    assert (
        "| `model.conditional` | `none`; `projection` with biggan | one of none, projection, auxiliary |"
        " none, projection (labels told to both networks), auxiliary (the critic names the class) |"
        " biggan, progan, r3gan, sagan, sngan, stylegan, stylegan2 |"
    ) in page
    assert "| `model.generator.latent_size` | follows model.latent.size | biggan, cdcgan, cgan, dcgan, gan," in page
    assert "| `trainer.batch_size` | `64` \\* | a whole number from 1 to 65,536 |" in page


def test_the_text_of_a_line_begins_in_one_column() -> None:
    assert all(" " * COLUMN not in line for line in SNGAN.splitlines() if line.startswith("  model"))


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of configs of one's own."""
    return tmp_path_factory.mktemp("my_conf")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x: [1", "can't be read as YAML"),
        ("- 1", "holds no config"),
        ("word", "holds no config"),
        ("defaults: 3", "list"),
    ],
)
def test_a_broken_file_of_ones_own_is_named(content: str, words: str, command: Command, own: Path) -> None:
    (own / "model").mkdir(parents=True)
    (own / "model" / "own.yaml").write_text(content)
    end = command("gan-train", "--config-dir", str(own), "--help", "seed")
    assert (end.code, len(end.err.splitlines())) == (2, 1), end
    assert "own.yaml" in end.err
    assert words in end.err


def test_files_that_begin_with_each_other_end(command: Command, own: Path) -> None:
    (own / "trainer").mkdir(parents=True)
    for name, other in (("one", "two"), ("two", "one")):
        text = f"# {name}\ndefaults: [{other}]\nseconds: 1  # a length in seconds\n"
        (own / "trainer" / f"{name}.yaml").write_text(text)
    end = command("gan-train", "--config-dir", str(own), "--help", "seconds")
    assert (end.code, "a length in seconds" in end.out) == (0, True), end


def test_a_key_of_the_command_is_told_where_nothing_composes(command: Command) -> None:
    end = command("gan-train", "--help", "model=nope", "seed")
    assert "every random number of the run" in end.out
    assert "nope" in end.err
