"""Train the embedded perceivers: their network, and the heads and thresholds that are fitted to it."""
