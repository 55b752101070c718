"""Tables in files: read, cut into windows, judged, replayed."""
