"""``python -m builder`` is ``edge-builder``."""

import sys

from builder.cli import main

sys.exit(main())
