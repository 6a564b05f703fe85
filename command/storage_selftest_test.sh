#!/usr/bin/env bash
# Every fault of the storage family is caught by check or by fuzz: docs/durability.md.
exec command/nbdspec selftest --storage
