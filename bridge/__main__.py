"""``python -m bridge`` is ``crew-bridge``."""

import sys

from bridge.cli import main

sys.exit(main())
