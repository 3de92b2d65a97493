"""What every figure shares: style, colours of a kind of variable, sites on the page, bounds."""
