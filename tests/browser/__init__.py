"""What a person sees: the page in a real Chromium, served by a real room."""
