"""Thin front ends of the library, the command line and the server, and what both draw."""
