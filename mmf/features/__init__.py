"""Features: versioned, causal columns computed from the bars of one series."""
