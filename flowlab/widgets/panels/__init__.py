"""The tabs of a lab, one a file."""
