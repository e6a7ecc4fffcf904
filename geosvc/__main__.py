"""`python -m geosvc` is the same as the `geosvc` command."""

from geosvc.cli import main

if __name__ == "__main__":
    main()
