"""Series of training runs, and those that the package lists, as TOML files."""
