"""The words of other programs for options, and what to type here instead. All of it is data; `hints` reads it.

A key's replacements are tried in order: the first whose keys the chosen options have is shown. `{word}` in a text is
the word that was typed. Each replacement is complete, so that it can be typed as it stands (DIR, RUN and WORD aside).
"""

from __future__ import annotations

from typing import NamedTuple


class Instead(NamedTuple):
    """A replacement: what to type, and what that does.

    Attributes:
        typed: the overrides to type; empty where there is nothing to type.
        of: the group that such a fact is about; commands without this group don't show it.
    """

    typed: tuple[str, ...]
    about: str
    of: str = ""


def way(typed: str, about: str = "") -> Instead:
    return Instead(tuple(typed.split()), about)


def fact(about: str, of: str = "") -> Instead:
    return Instead((), about, of)


OUTPUT = (way("hydra.run.dir=DIR", "is where a run is written"), way("output=DIR", "is where it is written"))
DEVICE = (way("trainer.device=cuda", "is where it runs"), way("device=cuda", "is where it runs"))
LENGTH = (way("trainer.total_images=100_000", "says how long, in images seen"),)
WIDTH = (
    way("model.generator.base_channels=32", "is the width of the generator's finest level"),
    way("model.generator.channel_base=4096", "divided by the resolution is the width of a level"),
    way("model.generator.width=64", "is the generator's width"),
    way("model.a_to_b.width=32", "is a generator's width"),
)
CLASSES = (
    way("model.conditional=projection", "tells the networks the class, whose number follows from the data"),
    way("labels=[0,1]", "says which classes"),
    way("model=cdcgan", "is told the class, whose number follows from the data"),
)
R1 = (way("penalty.r1.weight=1.0", "is R1's gamma"), way("penalty=[r1] penalty.r1.weight=1.0", "is R1 with its gamma"))
GRADIENT = (
    way("loss.penalties.gradient_penalty.weight=10", "is the penalty's weight"),
    way("penalty.gradient_penalty.weight=10", "is the penalty's weight"),
    way("penalty=[gradient_penalty]", "adds the penalty"),
)
AUGMENT = (way("augment=ada", "is the adaptive one, augment=diffaugment the other"),)
DATA = (
    way("dataset.root=DIR", "is the folder of the data"),
    way("dataset=image_folder dataset.root=DIR", "takes a folder of pictures"),
)
RESUME = (
    way("checkpoint=RUN", "is the run to take"),
    way("resume=RUN", "goes on with a run, and init_from=RUN starts a new one from its weights"),
)
NAME = (way("name=WORD", "stands in front of the run folder's name"),)
COUNT = (way("count=64", "is how many"), way("trainer.preview_samples=64", "is how many a grid of the run shows"))
BATCH = (
    way("trainer.batch_size=64", "is the batch of one update, over all processes"),
    way("batch_size=100", "is how many at a time"),
)
SCHEDULE = (way("optimizer.schedule.kind=linear optimizer.schedule.end_images=100_000", "lets the rates fall"),)
RATES = (way("optimizer.rates.generator=1e-4 optimizer.rates.discriminator=1e-4", "are the rates of the players"),)
EMA = (
    way("trainer.ema_halflife_images=10_000", "is the half-life of the averaged weights, in images"),
    way("ema=true", "takes the averaged weights"),
)
BETAS = (way("optimizer.betas=[0.5,0.999]", "are both betas"),)
RESOLUTION = (way("dataset.resolution=32", "is the side of a picture, in pixels"),)
CHECKPOINT = (way("trainer.checkpoint_every_images=50_000", "is how often, in images seen"),)
SAMPLES = (way("trainer.sample_every_images=20_000", "is how often, in images seen"),)
LOGS = (way("trainer.log_every_images=2_000", "is how often, in images seen"),)
MIXED = (
    way("trainer.precision=bfloat16", "is the precision of the networks; trainer.precision=float16 scales the loss"),
)
CURVES = (fact("a run writes its curves into its own folder, and   tensorboard --logdir outputs   shows them"),)
READERS = (
    way("dataset.workers=4", "is how many threads read pictures"),
    fact("the chosen data set has no dataset.workers", "trainer"),
)
THREADS = (way("trainer.threads=2", "is how many CPU threads"), way("threads=2", "is how many CPU threads"))

# words of a key -> replacements
OF_KEYS: dict[str, tuple[Instead, ...]] = {
    "lr learning_rate base_lr": RATES,
    "lr_g g_lr glr lrg gen_lr lr_gen": (way("optimizer.rates.generator=1e-4", "is its rate"),),
    "lr_d d_lr dlr lrd disc_lr lr_disc": (way("optimizer.rates.discriminator=1e-4", "is its rate"),),
    "lr_policy lr_decay lr_schedule lr_scheduler scheduler niter_decay": SCHEDULE,
    "warmup warmup_steps": (way("optimizer.schedule.warmup_images=1_000", "is the rise of the rates"),),
    "epochs epoch n_epochs num_epochs nepoch max_epochs": LENGTH,
    "steps n_steps num_steps max_steps train_steps total_steps num_iters": LENGTH,
    "iters iterations n_iter niter max_iter total_iters kimg total_kimg": LENGTH,
    "gpus num_gpus n_gpu ngpu devices world_size nproc": (
        way("trainer.processes=2", "is one process for each GPU"),
        *DEVICE[1:],
    ),
    "device gpu gpu_id gpu_ids cuda use_cuda accelerator": DEVICE,
    "no_cuda cpu use_cpu": (way("trainer.device=cpu", "takes the CPU"), way("device=cpu", "takes the CPU")),
    "batch batch_size batchsize bs mini_batch batch_gpu": BATCH,
    "img_size image_size imsize resolution crop_size fine_size": RESOLUTION,
    "n_critic ncritic d_steps d_iters critic_iters n_dis num_d_steps disc_iters": (
        way("loss.n_critic=5", "is critic updates for each of the generator"),
    ),
    "latent_dim latent_size nz z_dim zdim dim_z noise_dim noise_size": (
        way("model.latent.size=100", "is the size of a latent"),
        fact("the chosen model has no model.latent.size", "model"),
    ),
    "workers num_workers n_workers nworkers": READERS,
    "threads num_threads n_threads nthreads n_cpu cpu_threads": THREADS,
    "output_dir outdir out_dir out save_dir result_dir results_dir output": OUTPUT,
    "exp_dir checkpoint_dir ckpt_dir checkpoints_dir work_dir run_dir": OUTPUT,
    "logdir log_dir": (way("hydra.run.dir=DIR", "is where a run is written, its curves too"), *OUTPUT[1:]),
    "fp16 amp mixed_precision bf16 use_amp precision use_fp16": MIXED,
    "ema ema_beta ema_kimg ema_rate use_ema ema_nimg": EMA,
    "ema_decay": (way("trainer.ema_decay=0.999", "is the share of the average that stays at each step"), *EMA[1:]),
    "save_every save_interval save_freq snap snapshot snapshot_ticks": CHECKPOINT,
    "checkpoint_every ckpt_every save_epoch_freq checkpoint_interval": CHECKPOINT,
    "sample_every sample_interval sample_freq display_freq vis_interval": SAMPLES,
    "log_every log_interval log_freq print_freq print_every log_step": LOGS,
    "eval_every eval_interval evaluate_every eval_freq fid_every": (
        way("metric=[fid] features=classifier trainer.evaluate_every_images=50_000", "scores in training"),
    ),
    "beta1 b1 beta_1 beta2 b2 beta_2 betas beta": (
        *BETAS,
        fact("the chosen optimizer has no optimizer.betas", "optimizer"),
    ),
    "opt optim solver optimiser optimizer_type": (way("optimizer=adam", "is how the networks move"),),
    "wd weight_decay": (
        way("optimizer.weight_decay=0.01", "is the decay"),
        way("optimizer=adamw optimizer.weight_decay=0.01", "is Adam with that decay"),
    ),
    "gan_mode gan_type gan_loss adv_loss loss_type criterion objective gan_obj": (
        way("loss=hinge", "is the objective"),
    ),
    "arch architecture network net netg netd backbone model_name gan generator": (
        way("model=dcgan", "are the networks"),
    ),
    "data dataroot data_root data_path data_dir datadir root dataset_path path": DATA,
    "gamma r1_gamma r1 r1_weight r1_reg": R1,
    "gp lambda_gp gp_weight gp_lambda lambda_ gradient_penalty": GRADIENT,
    "clip clip_value weight_clip clip_weights": (
        way("loss.clip=0.01", "is where critic weights are clipped"),
        way("loss=wgan", "clips critic weights"),
    ),
    "ngf ndf nf ch width fmaps fmap_base dim g_conv_dim hidden_dim": WIDTH,
    "num_classes n_classes nclass cond conditional class_cond y_dim": CLASSES,
    "class_idx classes label": (CLASSES[1], CLASSES[0], CLASSES[2]),
    "mirror xflip hflip flip x_flip random_flip": (
        way("dataset.flip=true", "mirrors pictures"),
        fact("the chosen data set has no dataset.flip", "dataset"),
    ),
    "aug ada diffaug augmentation diff_augment policy": AUGMENT,
    "ckpt checkpoint resume_from resume_path continue_train load load_path restore": RESUME,
    "model_path network_pkl weights pretrained load_model": RESUME,
    "random_seed manual_seed manualseed seeds rng": (way("seed=1", "is what every random number follows from"),),
    "exp_name experiment_name run_name exp desc tag run_id": NAME,
    "metrics fid score scores eval evaluate": (way("metric=[fid] features=classifier", "scores samples"),),
    "n_samples num_samples nsamples num_images nimg sample_size": COUNT,
    "truncation trunc psi truncation_threshold": (
        way("truncation_psi=0.7", "is how far samples keep from the mean"),
        fact("truncation is for samples: gan-sample truncation_psi=0.7"),
    ),
    "grad_accum accumulation_steps gradient_accumulation_steps num_accumulations accumulate": (
        way("trainer.accumulate=2", "cuts a batch into parts"),
    ),
    "patience early_stop early_stopping": (
        way(
            "trainer.keep_best=fid_classifier trainer.patience_images=50_000 metric=[fid] features=classifier",
            "ends a run that gets no better",
        ),
    ),
    "debug fast_dev_run smoke": (way("trainer=smoke", "is a run of seconds, and dry_run=true only measures"),),
    "wandb wandb_project tensorboard project entity use_wandb tb": CURVES,
    "config cfg config_file yaml": (
        fact("files of your own are named by flags: --config-dir DIR, and --config-name NAME of one in it"),
    ),
}

ANY_FOLDER = "dataset=image_folder dataset.root=DIR"
# group -> words of an option -> what to type
OF_OPTIONS: dict[str, dict[str, str]] = {
    "dataset": {
        "celebahq celeba_hq ffhq lsun lsun_bedroom imagenet afhq svhn": ANY_FOLDER,
        "custom folder imagefolder images image stl10 flowers own": ANY_FOLDER,
        "cifar cifar_10": "dataset=cifar10",
        "fashion fashionmnist fmnist": "dataset=fashion_mnist",
        "ring 8gaussians mog gaussian grid 25gaussians": "dataset=gaussians model=toy",
        "aligned paired facades edges2shoes cityscapes maps": "dataset=pairs dataset.root=DIR",
        "unaligned horse2zebra monet2photo": "dataset=unpaired dataset.root=DIR",
        "div2k set5 super_resolution": "dataset=degraded dataset.root=DIR",
    },
    "model": {
        "stylegan3 stylegan2_ada style styleganv2": "model=stylegan2",
        "pggan progressive proggan progressive_gan": "model=progan",
        "wgan_gp wgangp wgan-gp": "loss=wgan_gp",
        "wgan lsgan dragan": "loss={word}",
        "acgan ac_gan": "model=sngan model.conditional=auxiliary",
        "projgan projection": "model=sngan model.conditional=projection",
        "mlp vanilla vanilla_gan fc": "model=gan",
        "unet pix2pixhd spade": "model=pix2pix",
        "conditional cond conditional_gan": "model=cdcgan",
    },
    "loss": {
        "bce vanilla standard gan logistic ns softplus original": "loss=nonsaturating",
        "mse ls least_squares l2": "loss=lsgan",
        "wasserstein w was": "loss=wgan",
        "gp wgangp wgan-gp wasserstein_gp": "loss=wgan_gp",
        "ragan ra rasgan relativistic": "loss=relativistic_average",
        "rpgan rp rgan rsgan": "loss=relativistic_pairing",
        "r1 r2": "penalty=[{word}]",
    },
    "optimizer": {
        "rms": "optimizer=rmsprop",
        "momentum": "optimizer=sgd",
        "two_timescale": "optimizer=ttur",
    },
    "penalty": {
        "gp gradient wgan_gp 0gp 1gp": "penalty=[gradient_penalty]",
        "ppl pl path pl_reg": "penalty=[path_length]",
    },
    "augment": {
        "true on adaptive yes": "augment=ada",
        "diffaug diff diff_augment": "augment=diffaugment",
        "false off null no noaug": "augment=none",
    },
    "metric": {
        "is inception": "metric=[inception_score]",
        "precision recall pr prdc pr50k3": "metric=[precision_recall]",
        "density coverage": "metric=[density_coverage]",
        "nn nearest": "metric=[nearest_neighbours]",
        "accuracy acc cas": "metric=[classification_accuracy]",
    },
    "features": {
        "inceptionv3 inception_v3 inception-v3": "features=inception",
    },
    "trainer": {
        "debug fast test quick tiny": "trainer=smoke",
    },
}

KEYS = {word: instead for words, instead in OF_KEYS.items() for word in words.split()}
OPTIONS = {
    group: {word: typed for words, typed in entries.items() for word in words.split()}
    for group, entries in OF_OPTIONS.items()
}
