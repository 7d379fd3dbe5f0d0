"""Scores of a model, a folder of pictures, a sweep: everything between a checkpoint and a number with its protocol."""
