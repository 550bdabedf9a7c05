"""The documents, followed to the letter: each page's commands run as a newcomer pastes them."""
