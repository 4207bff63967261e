"""Third-party data: where it comes from, how it is fetched, checked and turned into text."""
