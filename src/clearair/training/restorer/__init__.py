"""How the restorer is trained: its task, recipes, losses, validation and saving."""
