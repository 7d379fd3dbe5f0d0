"""gan_cli: train, sample and judge generative adversarial networks from the command line.

Importing this package imports nothing heavy: the commands answer `--help` and refuse a bad
composition before torch is loaded, and a test keeps it so.
"""

__version__ = "0.1.0"
