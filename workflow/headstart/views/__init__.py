"""Decoded images enter; augmented, normalised batches on the device leave."""
