"""torch's optimizers as the check reads them: which options each has, and which values of them it can work with.

torch is not imported, its own annotations have no limits, and what it refuses it refuses when a run has begun. Nothing
here is called. `capturable` and `differentiable` are for callers that this program is not; unrolling sets its own.
"""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval, Le

from gan_cli.base.limits import Share, Weight

Beta = Annotated[float, Interval(ge=0, lt=1)]
Tiny = Annotated[float, Interval(ge=0, le=1e6)]
Decay = Annotated[float, Interval(ge=0, le=100)]
Flag = bool | None

UNFIT = {  # why, for those that can train no network here
    "LBFGS": "looks at the loss several times in a step",
    "Muon": "moves nothing but matrices",
    "SparseAdam": "wants sparse gradients",
}


class Adam:
    def __init__(
        self,
        betas: tuple[Beta, Beta] = (0.9, 0.999),
        eps: Tiny = 1e-8,
        weight_decay: Decay = 0.0,
        amsgrad: bool = False,
        foreach: Flag = None,
        maximize: bool = False,
        capturable: Literal[False] = False,
        differentiable: Literal[False] = False,
        fused: Flag = None,
        decoupled_weight_decay: bool = False,
    ) -> None: ...


class AdamW:
    def __init__(
        self,
        betas: tuple[Beta, Beta] = (0.9, 0.999),
        eps: Tiny = 1e-8,
        weight_decay: Decay = 0.01,
        amsgrad: bool = False,
        maximize: bool = False,
        foreach: Flag = None,
        capturable: Literal[False] = False,
        differentiable: Literal[False] = False,
        fused: Flag = None,
    ) -> None: ...


class NAdam:
    def __init__(
        self,
        betas: tuple[Beta, Beta] = (0.9, 0.999),
        eps: Tiny = 1e-8,
        weight_decay: Decay = 0.0,
        momentum_decay: Weight = 0.004,
        decoupled_weight_decay: bool = False,
        foreach: Flag = None,
        maximize: bool = False,
        capturable: Literal[False] = False,
        differentiable: Literal[False] = False,
    ) -> None: ...


class RAdam:
    def __init__(
        self,
        betas: tuple[Beta, Beta] = (0.9, 0.999),
        eps: Tiny = 1e-8,
        weight_decay: Decay = 0.0,
        decoupled_weight_decay: bool = False,
        foreach: Flag = None,
        maximize: bool = False,
        capturable: Literal[False] = False,
        differentiable: Literal[False] = False,
    ) -> None: ...


class Adamax:
    def __init__(
        self,
        betas: tuple[Beta, Beta] = (0.9, 0.999),
        eps: Tiny = 1e-8,
        weight_decay: Decay = 0.0,
        foreach: Flag = None,
        maximize: bool = False,
        differentiable: Literal[False] = False,
        capturable: Literal[False] = False,
    ) -> None: ...


class Adagrad:
    def __init__(
        self,
        lr_decay: Weight = 0.0,
        weight_decay: Decay = 0.0,
        initial_accumulator_value: Weight = 0.0,
        eps: Tiny = 1e-10,
        foreach: Flag = None,
        maximize: bool = False,
        differentiable: Literal[False] = False,
        fused: Flag = None,
    ) -> None: ...


class Adadelta:
    def __init__(
        self,
        rho: Share = 0.9,
        eps: Tiny = 1e-6,
        weight_decay: Decay = 0.0,
        foreach: Flag = None,
        capturable: Literal[False] = False,
        maximize: bool = False,
        differentiable: Literal[False] = False,
    ) -> None: ...


class Adafactor:
    def __init__(
        self,
        beta2_decay: Annotated[float, Le(0)] = -0.8,
        eps: tuple[Tiny | None, Tiny] = (None, 1e-3),
        d: Annotated[float, Ge(1)] = 1.0,
        weight_decay: Decay = 0.0,
        foreach: Flag = None,
        maximize: bool = False,
    ) -> None: ...


class ASGD:
    def __init__(
        self,
        lambd: Share = 1e-4,
        alpha: Annotated[float, Interval(ge=0, le=10)] = 0.75,
        t0: Weight = 1e6,
        weight_decay: Decay = 0.0,
        foreach: Flag = None,
        maximize: bool = False,
        differentiable: Literal[False] = False,
        capturable: Literal[False] = False,
    ) -> None: ...


class RMSprop:
    def __init__(
        self,
        alpha: Beta = 0.99,
        eps: Tiny = 1e-8,
        weight_decay: Decay = 0.0,
        momentum: Share = 0.0,
        centered: bool = False,
        capturable: Literal[False] = False,
        foreach: Flag = None,
        maximize: bool = False,
        differentiable: Literal[False] = False,
    ) -> None: ...


class Rprop:
    def __init__(
        self,
        etas: tuple[Annotated[float, Interval(gt=0, lt=1)], Annotated[float, Interval(gt=1, le=10)]] = (0.5, 1.2),
        step_sizes: tuple[Annotated[float, Gt(0)], Annotated[float, Interval(gt=0, le=1e6)]] = (1e-6, 50.0),
        capturable: Literal[False] = False,
        foreach: Flag = None,
        maximize: bool = False,
        differentiable: Literal[False] = False,
    ) -> None: ...


class SGD:
    def __init__(
        self,
        momentum: Share = 0.0,
        dampening: Share = 0.0,
        weight_decay: Decay = 0.0,
        nesterov: bool = False,
        maximize: bool = False,
        foreach: Flag = None,
        differentiable: Literal[False] = False,
        fused: Flag = None,
    ) -> None: ...
