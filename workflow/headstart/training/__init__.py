"""Settings and batches enter; a trained run leaves."""
