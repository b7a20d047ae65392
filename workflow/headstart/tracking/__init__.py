"""What jobs and `headstart index` know enters; an index of it in MLflow, for people, leaves."""
