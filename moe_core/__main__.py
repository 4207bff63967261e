"""`python -m moe_core` is `routelens`."""

from moe_core.cli.main import main

if __name__ == "__main__":
    main()
