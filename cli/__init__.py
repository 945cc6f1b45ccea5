"""The command line `mmf`: the only layer that prints."""
