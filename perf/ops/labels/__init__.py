"""What visual operations are judged by: pictures and clips whose right answer is known, by what drew them.

SEGMENT_OBJECT_AT   object_scenes.py: a still picture and the object's mask (shapes.py, surfaces.py); quokka.py: a
                    photograph, outlined by hand
GET_PROPERTIES      coloured.py: shapes of colours with a name
READ_TEXT           text_lines.py, text_pages.py: what is written, and where (lettering.py)
TRACK_OBJECT        track_clips.py: one moving thing, its box in every frame (things.py)
TEMPORAL_LOCALIZE   localize_clips.py: shots one after the other, and when something is shown (track_clips.py)

real_clips.py has real clips without labels. Equal seeds give equal pixels; settings were chosen on some seeds or
photographs (`fixed`), and are judged on others too (`held_out`).
"""
