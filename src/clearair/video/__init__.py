"""Videos: frames in a stream, judged shot by shot, written in segments. Needs PyAV (`clearair[video]`)."""
