"""Implementations of EC as people write them, right ones and wrong ones: the conformance suite's own test."""
