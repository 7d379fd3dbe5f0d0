"""Types of the numbers that options take, each with its limits. Imports no torch.

A constructor's annotation tells which values an option takes (`width: Width = 64`). The check reads the annotation from
the source before a run, also one without a name: `Annotated[int, Interval(ge=2, le=10)]`. A class without such
annotations, as those of torch, gets them from its YAML, by the same names: `limits: {eps: Tiny}`.
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Interval, MinLen

Where = Annotated[str, MinLen(1)] | int  # a path, which may look like a number
Width = Annotated[int, Interval(ge=1, le=65_536)]  # feature maps, units, sizes: above it no network fits any machine
Depth = Annotated[int, Interval(ge=1, le=1_024)]  # layers or blocks
Pixels = Annotated[int, Interval(ge=1, le=65_536)]
Channels = Annotated[int, Interval(ge=1, le=65_536)]  # of a picture, or of several side by side
Count = Annotated[int, Ge(1)]
Batch = Annotated[int, Interval(ge=1, le=65_536)]  # samples at a time
Samples = Annotated[int, Interval(ge=2, le=1_000_000)]  # samples of an evaluation
Images = Annotated[int, Ge(0)]  # a point or a span of a run, in images seen
Share = Annotated[float, Interval(ge=0, le=1)]
Weight = Annotated[float, Interval(ge=0, le=1e6)]  # of a term: above it, float32 has no digits left for other terms
Beta = Annotated[float, Interval(ge=0, lt=1)]  # share of a running mean that stays at each step
Tiny = Annotated[float, Interval(ge=0, le=1e6)]  # added to a divisor
Decay = Annotated[float, Interval(ge=0, le=100)]  # weight decay
Positive = Annotated[float, Gt(0)]
Rate = Annotated[float, Interval(ge=0, le=10)]  # a learning rate: above it every optimizer's first step diverges
Padding = Annotated[int, Interval(ge=0, le=65_536)]  # pixels
Grey = Annotated[int, Interval(ge=0, le=255)]
SixteenBit = Annotated[int, Interval(ge=1, le=65_535)]  # a value of a 16-bit picture
Megabytes = Annotated[int, Ge(0)]
Workers = Annotated[int, Interval(ge=1, le=1_024)]  # threads
Neighbours = Annotated[int, Interval(ge=1, le=1_000)]
