"""The arguments of each visual operation, as the operations themselves check them."""

from __future__ import annotations

from pixelis.schema import OperationName
from python_backends.visual_ops import arguments

MODELS = {
    OperationName.ZOOM_IN: arguments.ZoomInArguments,
    OperationName.SEGMENT_OBJECT_AT: arguments.SegmentArguments,
    OperationName.READ_TEXT: arguments.ReadTextArguments,
    OperationName.GET_PROPERTIES: arguments.GetPropertiesArguments,
    OperationName.TRACK_OBJECT: arguments.TrackArguments,
    OperationName.TEMPORAL_LOCALIZE: arguments.LocalizeArguments,
}
