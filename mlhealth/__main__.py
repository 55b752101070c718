"""`python -m mlhealth` is `mlhealth`."""

from __future__ import annotations

from mlhealth.cli import main

if __name__ == "__main__":
    main()
