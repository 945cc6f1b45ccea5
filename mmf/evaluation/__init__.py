"""How predictions are judged, and against what."""
