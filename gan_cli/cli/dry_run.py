"""`gan-train dry_run=true`: an estimate of the time and memory of a run. Nothing of it stays on disk."""

from __future__ import annotations

from gan_cli.base.run_config import Composed


def dry_run(content: Composed) -> None:
    """Measure the time and memory of a run in a few steps, and print them.

    Raises:
        UserError: a part can't be built.
    """
    from gan_cli.base.run_config import RunConfig
    from gan_cli.run.estimate import estimate

    cost = estimate(RunConfig.of(content, content["trust"]))
    total, dataset = content["trainer"]["total_images"], content["dataset"]
    size = (
        f", {dataset['resolution']}x{dataset['resolution']}x{dataset['channels']}" if dataset.get("resolution") else ""
    )
    names = content["choices"]["model"], content["choices"]["dataset"]
    print(f"run              {names[0]} on {names[1]}{size}, batch {content['trainer']['batch_size']}")
    for name, count in cost.parameters.items():
        print(f"{name:<16} {count:,} parameters")
    if len(cost.stages) > 1:
        for stage in cost.stages:
            who = ", ".join(dict.fromkeys(stage.phases))
            print(
                f"{stage.begin:>12,} to {stage.end:,} images   batch {stage.batch_size}"
                f"   {stage.seconds:.3g} s for 1,000   {duration((stage.end - stage.begin) / 1000 * stage.seconds)}"
                f"   {who}"
            )
    mean = (cost.total_seconds - cost.jobs_seconds) / total * 1000
    print(f"time             {mean:.3g} s for 1,000 images, {duration(cost.total_seconds)} for {total:,} images")
    each = " in each process" if content["trainer"]["processes"] > 1 else ""
    print(f"memory           {cost.peak_mib:,.0f} MiB at most{each}, on {cost.device}")
    processes = content["trainer"]["processes"]
    alone = f", what {processes} processes tell each other and" if processes > 1 else ","
    print(f"measured in a few steps of each stage{alone} scores in training left out; nothing was written")


def duration(seconds: float) -> str:
    """Format seconds as `1h02m`, `12m05s` or `8.3s`."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"
