"""What a benchmark's page packs into its script."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any


def unpacked(text: str) -> dict[str, Any]:
    """Return the rows that a page's script would show."""
    found = re.search(r'<script type="text/plain" id="packed-rows">([^<]*)</script>', text)
    assert found
    data: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(found[1])))
    return data
