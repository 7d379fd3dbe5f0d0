"""gan_cli: train, sample and evaluate generative adversarial networks from the command line.

Importing this package loads no heavy library: the commands answer `--help` and refuse a config that can't work
before torch is loaded. A test checks this.
"""

__version__ = "0.1.0"
