"""Modes, the ways to use a trained generator: grids, walks, mixed styles, the latent behind a picture, directions."""
