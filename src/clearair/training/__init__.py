"""Recipes, losses and the loop that train the perceivers and the restorer."""
