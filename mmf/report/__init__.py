"""Reports: self-contained HTML pages of charts that say how to be read."""
