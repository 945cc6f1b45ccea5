"""Numba loops, one file an idea; float64 in, float64 out, NaN where a value is undefined."""
