"""Reads a CSV file as RFC 4180 has it and prints each row as a JSON array."""

import csv
import json
import sys

with open(sys.argv[1], newline="", encoding="utf-8") as file:
    for row in csv.reader(file, strict=True):
        print(json.dumps(row))
