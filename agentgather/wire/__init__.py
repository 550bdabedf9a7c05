"""What crosses a process boundary: records, requests, answers, limits, codes. No I/O."""
