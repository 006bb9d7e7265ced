"""`clearair serve`: a web page and an HTTP API in one process, which lets child processes do the work.

The process that speaks HTTP decodes no picture. It keeps uploads and results in files without a name, and
hands their descriptors to workers (`worker.py`), which it can stop, and replaces when they die.
"""
