"""Rooms behind one broker for a long time, with all the trouble that there is."""
