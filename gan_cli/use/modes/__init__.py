"""What else a trained generator can show: walks, mixed styles, the latent behind a picture, directions."""
