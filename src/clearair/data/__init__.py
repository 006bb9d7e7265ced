"""Pictures to train on and to test with, and the damage that is done to them."""
