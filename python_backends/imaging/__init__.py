"""What picture files say about themselves, read before anything is decompressed; and their pixels as RGB."""
