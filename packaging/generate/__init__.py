"""Writes what follows from the code: the generated parts of spec/, and the page of the manual."""
