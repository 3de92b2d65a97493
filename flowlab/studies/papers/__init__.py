"""What the papers say of their runs, number by number, and the presets that say the same."""
