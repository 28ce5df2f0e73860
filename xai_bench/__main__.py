"""``python -m xai_bench``: the command line."""

from xai_bench.cli import main

if __name__ == "__main__":
    main()
