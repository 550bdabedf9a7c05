"""The host's end of the link: it is given a responder, and knows no room."""
