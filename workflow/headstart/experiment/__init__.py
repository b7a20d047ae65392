"""An experiment's YAML file enters; frozen, checked settings leave."""
