"""``python -m flowlab.cli`` is the command ``flowlab``."""

from flowlab.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
