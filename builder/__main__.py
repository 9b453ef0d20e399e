"""``python -m builder`` is ``edge-builder``, which begins here too."""

import sys


def main() -> int:
    """Run the command; Ctrl-C while Python still imports it is no traceback either."""
    try:
        from builder.cli import main as run
    except KeyboardInterrupt:
        print("edge-builder: interrupted", file=sys.stderr)
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
