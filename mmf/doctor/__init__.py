"""The gap doctor: what is missing or odd in stored bars, and what to make of it."""
