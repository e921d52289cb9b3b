"""`python -m marketbill`."""

from marketbill.cli import main

if __name__ == "__main__":
    main()
