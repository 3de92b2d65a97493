"""Whether a number may be believed: evidence, independent chains, enumeration."""
