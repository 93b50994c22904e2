"""Checkpoints and devices of networks on torch."""
