"""The perceiver that ships with the package: one small network that answers how, where and what."""
