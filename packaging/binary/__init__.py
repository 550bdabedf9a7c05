"""Builds the program to download: a folder, packed as a tarball and as one file."""
