"""Predictions on the test images enter; metrics, intervals, the comparison and its words leave."""
