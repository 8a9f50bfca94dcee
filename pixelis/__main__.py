"""`python -m pixelis` is the `pixelis` command."""

from pixelis.cli import main

if __name__ == "__main__":
    main()
