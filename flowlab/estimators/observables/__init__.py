"""From configurations: magnetisation, correlations, overlaps, walls."""
