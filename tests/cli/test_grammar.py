"""What may be typed: Hydra's flags and override grammar with every command, and what is said of the rest."""

from __future__ import annotations

import importlib
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from conftest import TINY, compose_checked
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

from gan_cli.base.files import write_json
from gan_cli.base.machine import stop_signals
from gan_cli.base.run_folder import CONFIG
from gan_cli.check.config_folder import config_folder, defaults_of
from gan_cli.check.hints import no_key, no_option, synonym
from gan_cli.check.signatures import check_typed
from gan_cli.check.synonyms import KEYS, OPTIONS
from gan_cli.cli import callbacks, outcome
from gan_cli.cli import train as train_command
from gan_cli.cli.composition import composed_as_typed, names_of
from gan_cli.cli.config import register_resolvers
from gan_cli.cli.optuna_search import TARGET
from gan_cli.cli.typed import Typed, read

COMMANDS = ("gan-train", "gan-sample", "gan-evaluate", "gan-report", "gan-export")


class End(NamedTuple):
    """How a command ended; `ran` has the contents of the runs that it would have carried out."""

    code: int
    out: str
    err: str
    ran: list[dict[str, Any]]


Command = Callable[..., End]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run a command in this process up to where a run would start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.delenv("COMP_LINE", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(callbacks, "check_built", lambda content: None)
    ran: list[dict[str, Any]] = []

    def carry_out(content: dict[str, Any], folder: Path, about: Any = None) -> dict[str, Any]:
        ran.append({**content, "folder": folder})
        return {"status": "finished"}

    monkeypatch.setattr(train_command, "carry_out", carry_out)

    def run(name: str, *arguments: str) -> End:
        GlobalHydra.instance().clear()
        monkeypatch.setattr(outcome, "code", 0)
        monkeypatch.setattr(outcome, "runs", [])
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        ran.clear()
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            importlib.import_module(f"gan_cli.cli.{name.removeprefix('gan-')}").main()
        out, err = capsys.readouterr()
        assert isinstance(end.value.code, int | None), end.value.code
        return End(end.value.code or 0, out, err, list(ran))

    return run


def refused(end: End) -> str:
    """One sentence, exit code 2, nothing carried out."""
    assert (end.code, end.ran) == (2, []), end
    (line,) = end.err.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


# ---- what works ----

SWEEPS: dict[str, tuple[list[str], Callable[[dict[str, Any]], Any], list[Any]]] = {
    "glob": (["loss=glob(*wgan*)"], lambda run: run["choices"]["loss"], ["wgan", "wgan_gp"]),
    "glob without one": (["loss=glob([w*,h*],exclude=wgan)"], lambda run: run["choices"]["loss"], ["hinge", "wgan_gp"]),
    "range": (["seed=range(0,2)"], lambda run: run["seed"], [0, 1]),
    "choice": (["seed=choice(3,1)"], lambda run: run["seed"], [3, 1]),
    "sort": (["seed=sort(3,1,2)"], lambda run: run["seed"], [1, 2, 3]),
    "tag": (["seed=tag(a,choice(1,2))"], lambda run: run["seed"], [1, 2]),
    "cast": (["seed=int(1.0,2.0)"], lambda run: run["seed"], [1, 2]),
}


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.sampled(4)
def test_sweeps_by_hydras_functions(name: str, command: Command) -> None:
    arguments, value, wanted = SWEEPS[name]
    end = command("gan-train", "-m", "model=gan", *arguments)
    assert end.code == 0, end
    assert [value(run) for run in end.ran] == wanted


def test_a_search_chooses_among_what_a_pattern_matches(command: Command) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'gan_cli[search]'")
    search = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.score=high_quality_share", "hydra.sweeper.trials=2"]
    end = command("gan-train", *search, "model=toy", "dataset=gaussians", "metric=[modes]", "loss=glob(*wgan*)")
    assert {run["choices"]["loss"] for run in end.ran} == {"wgan", "wgan_gp"}, end


def test_a_search_may_stand_in_a_config_of_ones_own(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'gan_cli[search]'")
    monkeypatch.delitem(Plugins.instance().class_name_to_class, TARGET, raising=False)  # of an earlier search
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.yaml").write_text("defaults: [train, _self_]\nseed: 5\n", encoding="utf-8")
    own = ["--config-dir", "own", "-cn", "mine", "-m", "hydra/sweeper=optuna", "hydra.sweeper.trials=2"]
    toy = ["model=toy", "dataset=gaussians", "metric=[modes]", "loss=hinge,lsgan"]
    assert "a search needs to know" in refused(command("gan-train", *own, *toy))
    end = command("gan-train", *own, *toy, "hydra.sweeper.score=high_quality_share")
    assert {(run["choices"]["loss"], run["seed"]) for run in end.ran} == {("hinge", 5), ("lsgan", 5)}, end


WORKS: dict[str, tuple[list[str], Callable[[dict[str, Any]], Any], Any]] = {
    "null for penalties": (["penalty=null"], lambda run: run["penalty"], {}),
    "penalties taken out": (["model=stylegan", "~penalty"], lambda run: run["penalty"], {}),
    "null for features": (["features=null"], lambda run: run.get("features"), None),
    "null for an experiment": (["experiment=null"], lambda run: run["choices"]["model"], "dcgan"),
    "one more penalty": (["+penalty=r1"], lambda run: list(run["penalty"]), ["r1"]),
    "forced": (["++seed=3"], lambda run: run["seed"], 3),
    "a dict in a dict": (
        ["model={generator:{base_channels:8},pack:2}"],
        lambda run: (run["model"]["generator"]["base_channels"], run["model"]["pack"]),
        (8, 2),
    ),
    "a dict of a penalty": (["penalty=[r1]", "penalty={r1:{every:3}}"], lambda run: run["penalty"]["r1"]["every"], 3),
    "a dict": (["optimizer={learning_rate:1e-3}"], lambda run: run["optimizer"]["learning_rate"], 1e-3),
    "escaped": ([r"name=a\,b"], lambda run: run["name"], "a,b"),
    "as typed": (["notes=a, (b) = c"], lambda run: run["notes"], "a, (b) = c"),
    "quoted": (["loss='hinge'"], lambda run: run["choices"]["loss"], "hinge"),
    "a cast": (["seed=int(3.0)"], lambda run: run["seed"], 3),
    "an interpolation": (["seed=${trainer.batch_size}"], lambda run: run["seed"], 64),
    "an option taken out": (["~optimizer.eps"], lambda run: "eps" in run["optimizer"], False),
    "no name": (["name="], lambda run: run["folder"].parent.name, "dcgan-nonsaturating-digits"),
    "no subfolder": (["hydra.output_subdir=null"], lambda run: (run["folder"] / ".hydra").exists(), False),
}


@pytest.mark.parametrize("name", WORKS)
def test_an_override_does_what_it_says(name: str, command: Command) -> None:
    arguments, value, wanted = WORKS[name]
    end = command("gan-train", *arguments)
    assert end.code == 0, end
    assert value(end.ran[0]) == wanted


# ---- what is refused ----

REFUSED: dict[str, tuple[str, list[str]]] = {
    "-m --cfg job": ("--multirun and --cfg don't go together", ["gan-train"]),
    "--run -m": ("--run and --multirun don't go together", ["gan-train"]),
    "--cfg job seed=range(0,2)": ("seed=range(0,2) has several values", [*COMMANDS[:3]]),
    "--resolve": ("--cfg job --resolve", [*COMMANDS]),
    "--package loss": ("--package is about what --cfg prints", [*COMMANDS]),
    "--cfg job --package los": ("there is no los here", [*COMMANDS]),
    "--cfg": ("one of job, hydra, all", [*COMMANDS]),
    "--cfg=foo": ("one of job, hydra, all, not foo", [*COMMANDS]),
    "--info foo": ("searchpath, not foo", [*COMMANDS]),
    "--run=yes": ("--run takes no value", [*COMMANDS]),
    "--experimental-rerun x": ("resume=outputs/RUN", [*COMMANDS]),
    "-sc": ("-sc install=bash", [*COMMANDS]),
    "-sc install=cmd": ("-sc install=bash", [*COMMANDS]),
    "-sc query=bash": ("what the shell asks", [*COMMANDS]),
    "--config-path nowhere": ("there is no folder 'nowhere'", [*COMMANDS]),
    "--config-dir nowhere": ("there is no folder 'nowhere'", [*COMMANDS]),
    "--config-name nope": ("there is no nope.yaml", [*COMMANDS]),
    "--config-name sample": ("the config of gan-sample", ["gan-train", "gan-export"]),
    "--config-name train": ("the config of gan-train", ["gan-sample"]),
    "+typo=1": ("typo is not an option", [*COMMANDS]),
    "seed=1,2": ("seed=1,2 has several values", [*COMMANDS[:3]]),
    "=3": ("can't read '=3'", [*COMMANDS]),
    "hydra=null": ("can't read 'hydra=null'", [*COMMANDS]),
    "output=${nope}": ("output: it refers to ${nope}, which is not there", [*COMMANDS[1:]]),
    "~output": ("~output: output can't be taken out", [*COMMANDS[1:]]),
    "hydra.run.dir=x": ("makes none", [*COMMANDS[1:]]),
    "hydra.output_subdir=x": ("makes none", [*COMMANDS[1:]]),
    "hydra.searchpath=[file:///nope]": ("hydra.searchpath", [*COMMANDS]),
    "hydra.job.chdir=true": ("hydra.job.chdir", [*COMMANDS]),
    "hydra.run.dir=": ("hydra.run.dir is empty", ["gan-train"]),
    "hydra.run.dir=null": ("hydra.run.dir=null does not fit", ["gan-train"]),
    "hydra.output_subdir=/dev/null/x": ("leads out of the run's folder", ["gan-train"]),
    "hydra.output_subdir=../elsewhere": ("leads out of the run's folder", ["gan-train"]),
    "-m seed=1,2 hydra.sweep.subdir=/dev/null/x/${seed}": ("leads out of the sweep's folder", ["gan-train"]),
    "-m seed=1,2 hydra.sweep.subdir=../${seed}": ("leads out of the sweep's folder", ["gan-train"]),
    "-m seed=1,2 hydra.output_subdir=../x": ("leads out of the run's folder", ["gan-train"]),
    "sweep=first": ("sweep=first names the folder of a sweep, and this is one run: add -m, or say name", ["gan-train"]),
    "~hydra.callbacks.gan_cli": ("checks a run", ["gan-train"]),
    "hydra.mode=foo": ("one of [RUN, MULTIRUN]", ["gan-train"]),
    "loss=null": ("loss=null does not exist; loss is one of dragan", ["gan-train"]),
    "loss=3": ("loss=3 does not exist", ["gan-train"]),
    "augment=true": ("augment=ada", ["gan-train"]),
    "loss=[hinge,wgan]": ("loss takes one option and no list; -m loss=hinge,wgan", ["gan-train"]),
    "features=[inception,classifier]": ("features takes one option", ["gan-train", "gan-evaluate"]),
    "+loss=hinge": ("loss is there already; leave out the +", ["gan-train"]),
    "+seed=3": ("write seed=... without the +", ["gan-train"]),
    "~seed": ("seed=... gives it another value", ["gan-train"]),
    "~loss": ("loss=... gives it another value", ["gan-train"]),
    "~nope": ("~nope takes out what is not there", ["gan-train"]),
    "~model.pack": ("refers to ${model.pack}", ["gan-train"]),
    "seed=${oc.env:NO_SUCH}": ("seed: Environment variable 'NO_SUCH' not found", ["gan-train"]),
    "seed=${nope:1}": ("${nope:...}, and there is no such function", ["gan-train"]),
    "optimizer.betas=[0.1": ("a bracket has no partner", ["gan-train"]),
    "optimizer.betas[0]=1": ("before the = stands a key", ["gan-train"]),
    "trust=extend_list(a)": ("Unknown function 'extend_list'", ["gan-train"]),
    "-m seed=interval(0,2)": ("hydra/sweeper=optuna", ["gan-train"]),
    "-m loss=glob(zzz*)": ("matches no option; loss is one of", ["gan-train"]),
    "-m loss=range(0,2)": ("numbers are none", ["gan-train"]),
    "penalty={r1:1}": ("penalty.r1 is not an option: is its penalty selected? penalty=[r1] adds it", ["gan-train"]),
    "model={a:1}": ("model.a is not an option; model has pack, latent, generator, discriminator;", ["gan-train"]),
    "model.generator={a:1}": ("has a key that is not there; model.generator has latent_size, channels,", ["gan-train"]),
    "features={a:1}": ("no features is chosen; features is one of classifier,", ["gan-train", "gan-evaluate"]),
    "features.weights=x": (
        "no features is chosen; weights is an option of features=inc",
        ["gan-train", "gan-evaluate"],
    ),
    "hydra/sweeper={a:1}": ("hydra/sweeper takes the name of one of its options", ["gan-train"]),
    "dataset=cifar10": (
        "chooses no dataset; what can be typed of it is dataset.root=...",
        ["gan-sample", "gan-evaluate"],
    ),
    "dataset=null": ("what can be typed of it is dataset.root=...", ["gan-sample", "gan-evaluate"]),
    "~dataset": ("what can be typed of it is dataset.root=...", ["gan-sample", "gan-evaluate"]),
    "+dataset=cifar10": ("what can be typed of it is dataset.root=...", ["gan-sample", "gan-evaluate"]),
    "dataset={x:y}": ("dataset.x is not an option; dataset has root;", ["gan-sample", "gan-evaluate"]),
    "model=null": ("model is not an option", ["gan-sample", "gan-evaluate", "gan-report", "gan-export"]),
    "-m features=null,classifier": ("features=null does not exist", ["gan-train"]),
}


@pytest.mark.parametrize(("typed", "name"), [(typed, name) for typed, (_, names) in REFUSED.items() for name in names])
@pytest.mark.sampled(4)
def test_what_can_not_be_typed_gets_one_sentence(typed: str, name: str, command: Command, tmp_path: Path) -> None:
    needed = ["checkpoint=x"] if name in ("gan-sample", "gan-export") and "-sc" not in typed else []
    assert REFUSED[typed][0] in refused(command(name, *needed, *typed.split(" ")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "typed",
    [
        *(f"{name} ~nouser/x" for name in COMMANDS),
        *(f"gan-train {key}=~nouser/x" for key in ("resume", "init_from", "dataset=mnist dataset.root")),
        *("gan-train -m seed=1,2 dataset=image_folder dataset.root=~nouser/x", "gan-train --cfg job resume=~nouser/x"),
        *("gan-train features=inception metric=[fid] features.weights=~nouser/x", "gan-sample checkpoint=~nouser/x"),
        *("gan-export checkpoint=~nouser/x", "gan-report runs=~nouser/x", "gan-report sweep=~nouser/x"),
        *(f"gan-evaluate metric=[psnr] {source}" for source in ("checkpoint=~nouser/x", "sweep=~nouser/x")),
        *("gan-report output=~nouser/x", "gan-evaluate metric=[psnr] checkpoint=y output=~nouser/x"),
    ],
)
def test_a_home_of_nobody_is_one_sentence(typed: str, command: Command) -> None:
    name, *arguments = typed.split()
    told = refused(command(name, *arguments))
    assert "'~nouser/x' can't be found: there is no user 'nouser' here" in told


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    "flag", ["--cfg=job", "--cfg=hydra", "--cfg=all --resolve", "--info=defaults", "-h", "--version"]
)
def test_what_only_prints_prints(name: str, flag: str, command: Command, tmp_path: Path) -> None:
    end = command(name, *flag.split())
    assert (end.code, end.err) == (0, ""), end
    assert end.out.strip()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("typed", ["-m seed=1,2 hydra.sweep.dir=file", "hydra.run.dir=file/run"])
def test_what_the_system_refuses_before_a_run_is_one_sentence(typed: str, command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    end = command("gan-train", "model=gan", *typed.split())
    assert (end.code, end.ran) == (1, []), end
    assert re.fullmatch(r"error: \S*file\S* can't be used \(.*\)\n", end.err)


def test_one_signal_is_told_from_a_second(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def loading(content: dict[str, Any]) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(callbacks, "check_built", loading)
    end = command("gan-train", "model=gan")
    assert (end.code, end.err) == (130, "stopped\n")

    def training(content: dict[str, Any], folder: Path, about: Any = None) -> None:
        with stop_signals() as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.signal == signal.SIGINT
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(callbacks, "check_built", lambda content: None)
    monkeypatch.setattr(train_command, "carry_out", training)
    end = command("gan-train", "model=gan")
    assert (end.code, end.err) == (130, "stopped at once, by a second signal\n")


# ---- the values that run ----


def test_cfg_job_shows_the_values_that_run(command: Command) -> None:
    typed = ["model=stylegan2", "loss=hinge", "trainer.batch_size=32"]
    printed = yaml.safe_load(command("gan-train", *typed, "--cfg", "job").out)
    (run,) = command("gan-train", *typed).ran
    assert printed == {key: value for key, value in run.items() if key not in ("choices", "folder")}
    assert printed["penalty"]["r1"]["weight"] == pytest.approx(2e-4 * 8**2 / 32)
    assert printed["dataset"]["resolution"] == 8


def test_cfg_job_shows_what_it_can_where_a_run_would_be_refused(command: Command) -> None:
    end = command("gan-train", "dataset=image_folder", "--cfg", "job")
    assert end.code == 0
    assert yaml.safe_load(end.out)["dataset"]["root"] == "???"
    assert yaml.safe_load(end.out)["optimizer"]["learning_rate"] == 2e-4
    assert "dataset.root=FOLDER" in end.err


def test_help_shows_the_values_of_what_is_typed_beside_it(command: Command) -> None:
    out = command("gan-train", "model=stylegan2", "seed=3", "--help").out
    for line in ("  seed = 3 (typed) ", "  optimizer.learning_rate = 0.0025 ", "  penalty.r1.every = 16 "):
        assert f"\n{line}" in out
    assert "optimizer.learning_rate =" not in command("gan-train", "--help").out


def test_cfg_job_and_help_of_a_resume_show_the_runs_own_values(command: Command, tmp_path: Path) -> None:
    config = compose_checked("model=gan", "optimizer.learning_rate=0.003")
    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run" / CONFIG, config)
    write_json(tmp_path / "run" / "run.json", {"status": "interrupted", "images": 64, "parts": config["choices"]})
    typed = ["resume=run", "trainer.total_images=200"]
    end = command("gan-train", *typed, "--cfg", "job")
    assert (end.code, end.err) == (0, "")
    assert yaml.safe_load(end.out)["optimizer"]["learning_rate"] == 0.003
    assert yaml.safe_load(end.out)["trainer"]["total_images"] == 200
    out = command("gan-train", *typed, "--help").out
    assert "\n  optimizer.learning_rate = 0.003 " in out
    assert "\n  trainer.total_images = 200 (typed) " in out
    assert "another" in refused(command("gan-train", *typed, "seed=1", "--cfg", "job"))


# ---- parts of one's own ----


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package and a folder of configs in the current folder, with a model and features of their own."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    package, configs = tmp_path / "stranger_parts", tmp_path / "my_conf"
    for folder in (package, configs / "model", configs / "features"):
        folder.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "mine.py").write_text(
        "class Own:\n    def __init__(self, shade: int, name: str = '') -> None: ...\n", encoding="utf-8"
    )
    (configs / "model" / "own.yaml").write_text(
        "_target_: stranger_parts.mine.Own\nshade: 3\nhalo: 2\nrequires: {fields: [image]}\n", encoding="utf-8"
    )
    (configs / "features" / "own.yaml").write_text(
        "_target_: stranger_parts.mine.Own\nshade: 3\nprovides: {name: own}\n", encoding="utf-8"
    )
    return configs


@pytest.mark.parametrize("flag", ["--config-path", "--config-dir"])
@pytest.mark.parametrize("folder", ["my_conf", "~/my_conf"])
@pytest.mark.sampled(4)
def test_a_folder_of_configs_is_found_from_here(
    flag: str, folder: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(config_folder(), tmp_path / "my_conf")
    file = tmp_path / "my_conf" / "trainer" / "smoke.yaml"
    (tmp_path / "my_conf" / "trainer" / "own.yaml").write_bytes(file.read_bytes())
    typed = [f"{flag}={folder}", "model=gan", "trainer=own"]
    for arguments in (typed, ["-m", "seed=1,2", *typed]):
        end = command("gan-train", *arguments)
        assert end.code == 0, end
        assert {run["choices"]["trainer"] for run in end.ran} == {"own"}
    assert command("gan-train", *typed, "--cfg", "job").code == 0


def test_a_sweeps_name_may_stand_in_a_config_of_ones_own(command: Command, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.yaml").write_text("defaults: [train, _self_]\nsweep: first\n", encoding="utf-8")
    own = ["--config-dir", "own", "-cn", "mine"]
    assert command("gan-train", *own).code == 0
    assert command("gan-train", *own, "sweep=null").code == 0
    (tmp_path / "own" / "many.yaml").write_text("defaults: [mine, _self_]\nhydra: {mode: MULTIRUN}\n", encoding="utf-8")
    (run,) = command("gan-train", *own[:3], "many", "sweep=second").ran
    assert run["folder"].parent.name == "second"


def test_hints_come_from_a_model_of_ones_own(stranger: Path, command: Command) -> None:
    typed = ["--config-dir", "my_conf", "trust=[stranger_parts]", "model=own"]
    assert "did you mean model.shade?" in refused(command("gan-train", *typed, "model.shad=3"))
    said = refused(command("gan-train", *typed, "model.generator.base_channel=3"))
    assert "base_channels" not in said, "which is dcgan's"


def test_evaluate_takes_a_package_of_the_current_folder(stranger: Path, command: Command) -> None:
    typed = ["--config-dir", "my_conf", "trust=[stranger_parts]", "features=own", "metric=[fid]", "checkpoint=x"]
    assert "no checkpoint in 'x'" in refused(command("gan-evaluate", *typed))


# ---- hints ----


def test_a_misspelled_key_of_a_selected_penalty_is_hinted_at(command: Command) -> None:
    said = refused(command("gan-train", "penalty=[r1]", "penalty.r1.wieght=3"))
    assert "did you mean penalty.r1.weight?" in said
    said = refused(command("gan-train", "model=stylegan2", "penalty.r1.wieght=3"))
    assert "did you mean penalty.r1.weight?" in said, "the model selects it"
    assert "penalty=[r1] adds it" in refused(command("gan-train", "penalty.r1.weight=3"))
    for key, hint in {"gamma": "", "wieght": "; did you mean penalty.r1.weight?"}.items():
        said = refused(command("gan-train", f"penalty.r1.{key}=3"))
        assert f"{key} is not an option{hint}; penalty=[r1], which is not selected, has weight, every, " in said
    assert "metric=[fid], which is not selected, has no keys of its own" in refused(
        command("gan-train", "metric.fid.x=3")
    )
    said = refused(command("gan-train", "loss=wgan_gp", "penalty.gradient_penalty.weight=3"))
    assert "loss.penalties.gradient_penalty.weight" in said


def test_no_key_is_taken_for_itself() -> None:
    known = ["dataset.root", "dataset", "penalty", "seed"]
    for key in known:
        assert f"mean {key}" not in no_key(key, known, [config_folder()], "gan-sample")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["lr=1"], "there is no lr: optimizer.rates.generator=1e-4 optimizer.rates.discriminator=1e-4"),
        (["epochs=3"], "trainer.total_images=100_000"),
        (["gpus=2"], "trainer.processes=2"),
        (["batch=3"], "trainer.batch_size=64"),
        (["latent_dim=3"], "model.latent.size=100"),
        (["model=pix2pix", "latent_dim=3"], "the chosen model has no model.latent.size"),
        (["workers=2"], "the chosen data set has no dataset.workers"),
        (["dataset=image_folder", "num_workers=2"], "dataset.workers=4"),
        (["logdir=x"], "hydra.run.dir=DIR"),
        (["fp16=true"], "trainer.precision="),
        (["save_every=3"], "trainer.checkpoint_every_images="),
        (["model.n_critic=3"], "loss.n_critic=5"),
        (["dataset=celebahq"], "dataset=image_folder dataset.root=DIR"),
        (["model=wgan"], "loss=wgan is the nearest here"),
    ],
)
def test_another_programs_word_gets_this_programs(typed: list[str], words: str, command: Command) -> None:
    assert words in refused(command("gan-train", *typed))


def test_another_programs_word_for_samples(command: Command) -> None:
    assert "count=64" in refused(command("gan-sample", "checkpoint=x", "num_samples=3"))
    assert "truncation_psi=0.7" in refused(command("gan-sample", "checkpoint=x", "psi=0.7"))
    assert "device=cuda" in refused(command("gan-sample", "checkpoint=x", "gpu=0"))
    assert "dataset" not in refused(command("gan-sample", "checkpoint=x", "workers=3"))


def pieces(said: str) -> list[str]:
    """What a sentence says to type, beside this command's other words."""
    return [word.rstrip(";:,") for word in re.findall(r"(?<!gan-sample )(?<=[ ])[+\w./]+=\S+", f" {said}")]


def accept(overrides: list[str], root: str = "train") -> None:
    """It composes, and each value is one that its key may have."""
    config = composed_as_typed(Typed({}, overrides), root)
    content = OmegaConf.to_container(OmegaConf.masked_copy(config, [key for key in config if key != "hydra"]))
    check_typed(content, [])  # type: ignore[arg-type]


def batches(hints: list[list[str]], groups: set[str]) -> list[dict[str, str]]:
    """Few command lines that have all hints among them: the keys in the first, choices of groups in the others."""
    found: list[dict[str, str]] = [{}]
    for hint in hints:
        typed = {text.partition("=")[0]: text for text in hint}
        chosen = groups & set(typed)
        fit = [batch for batch in found[1:] if not (chosen & set(batch)) or typed.items() <= batch.items()]
        if chosen and not fit:
            found.append({})
        target = found[0] if not chosen else (fit or found[-1:])[0]
        target.update(typed)
    return found


SEVERAL = ["optimizer=ttur", "optimizer=rmsprop", "optimizer=sgd", "loss=wgan", "loss=wgan_gp", "dataset=image_folder"]


SOON = ("toy", "dcgan", "stylegan2", "pix2pix", "cyclegan")  # a model of each kind; the others are slow


@pytest.mark.parametrize(
    "chosen",
    [
        *(pytest.param(f"model={m}", marks=() if m in SOON else pytest.mark.slow) for m in TINY),
        *(pytest.param(one, marks=pytest.mark.slow) for one in SEVERAL),
    ],
)
def test_every_hint_can_be_typed(chosen: str) -> None:
    register_resolvers()
    known, folders = names_of(read([chosen]), "train"), read([]).folders()
    said = {word: synonym(word, known) for word in KEYS if word not in known}
    for word, sentence in said.items():
        if sentence:
            assert no_key(word, known, folders, "gan-train") == sentence
    hints = [pieces(sentence.partition(": ")[2]) for sentence in said.values() if sentence]
    assert sum(map(bool, hints)) > 250, "words that have an answer"
    for batch in batches(hints, set(defaults_of("train"))):
        accept([chosen, *batch.values()])


@pytest.mark.parametrize("group", OPTIONS)
def test_every_hint_at_an_option_can_be_typed(group: str) -> None:
    register_resolvers()
    options = [file.stem for folder in read([]).folders() for file in (folder / group).glob("*.yaml")]
    root = "train" if group in defaults_of("train") else "evaluate"
    said = {word: no_option(group, word, options) for word in OPTIONS[group]}
    assert not set(said) & set(options), "an option that is there"
    for typed in {tuple(pieces(sentence.split("; ")[1])) for sentence in said.values()}:
        assert typed
        accept([*typed], root)
