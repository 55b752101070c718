"""`python -m mlhealth` is `mlhealth`."""

from mlhealth.cli import main

if __name__ == "__main__":
    main()
