"""``python -m flowlab`` is the command ``flowlab``."""

from __future__ import annotations

from flowlab.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
