"""``python -m quantdg.bench`` is ``quantdg``."""

import sys

from ..core.cli import main

sys.exit(main())
