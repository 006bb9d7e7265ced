"""The loop in which everything is trained; it knows neither the restorer nor the perceivers."""
