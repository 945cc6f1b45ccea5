"""The specialists that the trader mixes."""
