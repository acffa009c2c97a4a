"""Run the command line with `python -m gliner_distill`."""

from gliner_distill.cli.main import main

if __name__ == "__main__":
    main()
