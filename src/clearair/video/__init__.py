"""Videos: streamed frames, analysed shot by shot, written in segments. Needs PyAV (`clearair[video]`)."""

from clearair.optional import require_pyav

require_pyav()
