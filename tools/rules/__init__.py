"""The rules behind tools/check: each module lists its checks in CHECKS."""
