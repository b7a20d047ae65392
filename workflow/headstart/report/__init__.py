"""Results enter; figures and the HTML report leave."""
