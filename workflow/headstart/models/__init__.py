"""A backbone's name enters; a network, its weights, its parts and its preprocessing leave."""
