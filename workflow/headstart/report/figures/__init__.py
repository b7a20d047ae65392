"""Plain data and a path enter; a figure in the one style of all figures leaves."""
