"""``python -m quantdg.bench`` is ``quantdg``."""

import sys

from quantdg.core.cli import main

sys.exit(main())
