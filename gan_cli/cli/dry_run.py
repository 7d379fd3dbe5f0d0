"""`gan-train dry_run=true`: what a run would take. Nothing of it stays on disk."""

from __future__ import annotations

from gan_cli.base.run_config import Composed


def dry_run(content: Composed) -> None:
    """Measure and print.

    Raises:
        UserError: a part can't be built.
    """
    from gan_cli.base.run_config import RunConfig
    from gan_cli.run.estimate import estimate

    found = estimate(RunConfig.of(content, content["trust"]))
    total, dataset = content["trainer"]["total_images"], content["dataset"]
    size = (
        f", {dataset['resolution']}x{dataset['resolution']}x{dataset['channels']}" if dataset.get("resolution") else ""
    )
    names = content["choices"]["model"], content["choices"]["dataset"]
    print(f"run              {names[0]} on {names[1]}{size}, batch {content['trainer']['batch_size']}")
    for name, count in found.parameters.items():
        print(f"{name:<16} {count:,} parameters")
    if len(found.stages) > 1:
        for stage in found.stages:
            who = ", ".join(dict.fromkeys(stage.phases))
            print(
                f"{stage.begin:>12,} to {stage.end:,} images   batch {stage.batch_size}"
                f"   {stage.seconds:.3g} s for 1,000   {duration((stage.end - stage.begin) / 1000 * stage.seconds)}"
                f"   {who}"
            )
    mean = (found.total_seconds - found.jobs_seconds) / total * 1000
    print(f"time             {mean:.3g} s for 1,000 images, {duration(found.total_seconds)} for {total:,} images")
    each = " in each process" if content["trainer"]["processes"] > 1 else ""
    print(f"memory           {found.peak_mib:,.0f} MiB at most{each}, on {found.device}")
    processes = content["trainer"]["processes"]
    alone = f", what {processes} processes tell each other and" if processes > 1 else ","
    print(f"measured in a few steps of each stage{alone} scores in training left out; nothing was written")


def duration(seconds: float) -> str:
    """`1h02m`, `12m05s`, `8.3s`"""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"
