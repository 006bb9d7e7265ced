"""clearair: restores degraded photographs with one model that finds out by itself what is wrong."""
