"""Training of the landmark networks."""
