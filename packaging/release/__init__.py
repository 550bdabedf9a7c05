"""Makes a release: gates, archives, licences, bill of materials, sums, and a try of each form."""
