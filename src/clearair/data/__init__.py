"""Training and test pictures, and synthetic damage."""
