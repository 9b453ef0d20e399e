"""The release repository: its TUF metadata, its keys, its blobs."""
