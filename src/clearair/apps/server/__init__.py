"""`clearair serve`: a web page and an HTTP API in one process, with child processes for the work.

The process that speaks HTTP decodes no picture. It keeps uploads and results in unnamed files, and hands
their descriptors to workers (`worker.py`), which it can stop, and replaces when they die.
"""
