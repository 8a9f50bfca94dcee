"""What needless operations cost: 0.2 each over 10; 0.1 if one was repeated; 0.05 per ZOOM_IN -> ZOOM_IN."""

from __future__ import annotations

FREE_OPERATIONS = 10
TOO_MANY = 0.2
REPEATED = 0.1
SECOND_ZOOM = 0.05
